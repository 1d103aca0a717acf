"""What honest members suspected others of."""

from __future__ import annotations

from dtvn.protocol.consensus.effects import Executed, Note
from simulator.node import Node
from simulator.observers import Observer


class Suspicions(Observer):
    """Notes each suspicion, in words."""

    notes = frozenset({"suspected"})

    def __init__(self) -> None:
        self.noted: list[str] = []

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Observer."""
        if isinstance(note, Note) and node.honest:
            self.noted.append(
                f"{node.name} suspects the primary of view {note.fields['view']}: {note.fields}"
            )
