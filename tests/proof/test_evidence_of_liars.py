"""What real clusters said in view changes, and what liars left behind: the verifier of two files judges it
as DTVN's own does, and nobody honest is convicted (P3, P4, P22)."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from dtvn.proof import read_chain
from dtvn.proof.evidence import encode_evidence
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Note
from dtvn.protocol.wire import decode_envelope
from simulator.adversary.view_change_forger import FORGERIES
from simulator.node import Node
from simulator.observers import Observer
from simulator.scenario import Stage
from tests.proof.test_evidence_views import both
from tests.support.table import table
from verifier import dtvn_verify

STORY = """request box issue T-100
stabilize
drop kind=PrePrepare from=r0
request gate-a admit T-100
advance 5s"""
"""The first primary falls silent, and its batch is reproposed: as in tests/scenarios/forged_*.txt."""
LEFT_BEHIND = {
    "omit": set(),  # it says the same in its own VIEW-CHANGE, and nobody sees the one that its NEW-VIEW names
    "swap": {"bad_new_view"},
    "reuse": {"bad_view_change"},
    "other-view": {"bad_new_view"},
    "one-twice": {"bad_new_view"},
    "too-few": {"bad_new_view"},
    "fake-checkpoint": {"bad_view_change"},
    "nothing": set(),
}
"""Evidence of broken views that honest members find, by what the second primary forges."""


class Minutes(Observer):
    """Records each VIEW-CHANGE and NEW-VIEW, and the evidence that honest members found."""

    kinds = frozenset({m.ViewChange, m.NewView})
    notes = frozenset({"evidence"})

    def __init__(self) -> None:
        self.changes: dict[bytes, tuple[bool, bytes]] = {}
        """Digest of a VIEW-CHANGE -> (whether an honest node said it, frame)."""
        self.new_views: dict[bytes, tuple[bool, m.NewView]] = {}
        self.found: set[tuple[str, int, tuple[bytes, ...]]] = set()

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Observer."""
        envelope, message = decode_envelope(frame)
        if isinstance(message, m.ViewChange):
            digest = sha256(bytes([envelope.kind]) + envelope.body).digest()
            self.changes.setdefault(digest, (node.honest, frame))
        else:
            self.new_views.setdefault(frame, (node.honest, message))

    def noticed(self, node: Node, note: Any) -> None:
        """See Observer."""
        if isinstance(note, Note) and node.honest:
            self.found.add((note.fields["code"], note.fields["sender"], note.fields["frames"]))


def played(members: int, liar: str) -> tuple[Minutes, bytes]:
    """(what was said, the genesis)."""
    stage, minutes = Stage(), Minutes()
    stage.obey(f"cluster {members} liar={liar}")
    stage.cluster.world.observers.add(minutes)
    for order in STORY.split("\n"):
        stage.obey(order)
    return minutes, g.encode(stage.cluster.world.genesis)


@table("forgery", FORGERIES, count=8)
@table("members", [4, 5], count=2)
def test_p22_the_verifiers_agree_on_all_view_change_messages(members: int, forgery: str) -> None:
    minutes, data = played(members, f"r1:view-change-forger/{forgery}")
    ours, theirs = read_chain(data), dtvn_verify.Chain(data)

    def judged(code: str, *frames: bytes) -> str:
        return both(encode_evidence(ours.cluster, code, frames), ours, theirs)

    honest, lies = set(), set()
    for truthful, frame in minutes.changes.values():
        (honest if truthful else lies).add(judged("bad_view_change", frame))
    for frame, (truthful, message) in minutes.new_views.items():
        names = [digest for _sender, digest in message.view_changes]
        view_changes = [minutes.changes[digest][1] for digest in names if digest in minutes.changes]
        (honest if truthful else lies).add(judged("bad_new_view", frame, *view_changes))
    assert {"proves"} <= honest <= {"proves", "follows"}
    assert ("convicted" in lies) is bool(LEFT_BEHIND[forgery])
    assert {code for code, _sender, _frames in minutes.found if code.startswith("bad_")} == LEFT_BEHIND[
        forgery
    ]
    for code, sender, frames in minutes.found:
        assert (judged(code, *frames), sender) == ("convicted", 1)
