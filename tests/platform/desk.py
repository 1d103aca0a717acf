"""A controller with its folder, and what it is asked: for the tests of clusters as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from validators.data_folder.folder import DataFolder
from validators.models import Announcement, ManagedNode
from validators.processes.cluster_controller import ClusterController
from validators.services import cluster, nodes

FOUR = [f"node{number}" for number in range(4)]


class Desk:
    """A controller, and the clusters that it created."""

    def __init__(self, root: Path) -> None:
        self.folder = DataFolder(root)
        self.folder.create()
        self.founded: list[list[str]] = []
        self.refusal: Exception | None = None
        self.controller = ClusterController(self.folder, self.found)

    def found(self, names: Any) -> None:
        if self.refusal:
            raise self.refusal
        self.founded.append(list(names))
        nodes.register_nodes(list(names))

    def told(self) -> list[tuple[str, int, int]]:
        """Frames since the last call."""
        told = [(each.status, each.started, each.total) for each in Announcement.objects.all()]
        Announcement.objects.all().delete()
        return told


def show(status: str, *names: str, error: str = "") -> None:
    ManagedNode.objects.filter(node_id__in=names or FOUR).update(status=status, error=error)


def started(desk: Desk) -> None:
    cluster.start_cluster(4)
    desk.controller.turn()
    desk.controller.turn()


def own() -> Any:
    return cluster.own_validators()
