"""The gateway of the data folder that a command names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError

from dtvn.gateway import Gateway, GatewayFace
from dtvn.node.layout import ClusterFolder
from validators.services import network


def is_platforms(data_dir: Path) -> bool:
    """Whether the folder is the one whose platform this process belongs to (DTVN_DATA)."""
    return data_dir.resolve() == Path(settings.DATA).resolve()


@contextmanager
def gateway_of(data_dir: Path) -> Iterator[GatewayFace]:
    """Make the services use the gateway of this folder; if it is the platform's, its own gateway. Raise
    CommandError if no cluster is in it."""
    folder = ClusterFolder(data_dir)
    if not folder.genesis.exists():
        raise CommandError(
            f"No cluster has been made in {folder.root} yet; use --data-dir for another folder."
        )
    if is_platforms(data_dir):
        try:
            yield network.gateway()
        finally:
            network.close()
        return
    with Gateway.open(folder.genesis, folder.gateway_key) as gateway:
        network.use(gateway)
        try:
            yield gateway
        finally:
            network.use(None)
