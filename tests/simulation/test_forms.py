"""Malleable signatures: the signed content identifies a statement, not the signature (R4; P12)."""

from __future__ import annotations

from collections import defaultdict

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import decode_envelope
from simulator.campaign import Task, run
from simulator.node import Node
from simulator.observers import Observer
from simulator.options import Options
from simulator.plain import PlainRun
from simulator.scheme import LOOSE, Keyring
from simulator.worlds import WORLDS

pytestmark = pytest.mark.exhaustive

BINDING = frozenset({m.PrePrepare, m.Prepare, m.Commit, m.Checkpoint, m.ViewChange, m.NewView})
Statement = tuple[int, bytes]
"""Kind and body."""


class Heard(Observer):
    """In which forms statements of honest members, or those of the liar r0, came to honest ones."""

    kinds = BINDING | {m.SupplyFrames}

    def __init__(self, *, of_the_liar: bool = False) -> None:
        self.of_the_liar = of_the_liar
        self.forms: dict[Statement, set[bytes]] = defaultdict(set)

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        if receiver == "r0":
            return
        for each in (frame, *getattr(decode_envelope(frame)[1], "frames", ())):
            envelope, message = decode_envelope(each)
            if type(message) in BINDING and (message.sender == 0) is self.of_the_liar:
                self.forms[envelope.kind, envelope.body].add(envelope.signature)


class Said(Observer):
    """Statements of each node by process life, with their bytes."""

    kinds = BINDING

    def __init__(self) -> None:
        self.lives: dict[str, int] = defaultdict(int)
        self.said: dict[Statement, dict[int, set[bytes]]] = defaultdict(lambda: defaultdict(set))

    def started(self, node: Node) -> None:
        self.lives[node.name] += 1

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        envelope, message = decode_envelope(frame)
        if node.said(message):
            self.said[envelope.kind, envelope.body][self.lives[node.name]].add(envelope.signature)


def test_r39_only_the_owner_signs_but_the_last_bytes_are_malleable() -> None:
    keyring = Keyring(real=False, malleable=True)
    scheme = keyring.scheme
    public, secret = keyring.pair("r0")
    first, second = scheme.sign(secret, b"word"), scheme.sign(secret, b"word")
    assert first != second
    assert len(first) == len(second) == 64
    for form in (first, second, first[:-LOOSE] + b"\xff" * LOOSE):
        assert scheme.verify(public, b"word", form)
        assert not scheme.verify(public, b"words", form)
        assert not scheme.verify(public, b"word", bytes((form[0] ^ 1,)) + form[1:])
        assert not scheme.verify(public, b"word", form[:-1])
        assert not scheme.verify(keyring.pair("r1")[0], b"word", form)


def test_only_two_named_worlds_have_malleable_signatures() -> None:
    """Their seeds mean the same events as before. (A random world may be one of these two.)"""
    named = {name: drawing(0) for name, drawing in WORLDS.items() if name != "random" and ":" not in name}
    assert {name for name, drawn in named.items() if drawn.settings.malleable} == {
        "malleable-signatures",
        "malleable-signer",
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_row_12_two_forms_of_one_statement_convict_no_member(seed: int) -> None:
    heard = Heard()
    report = run(Task(seed, "malleable-signer"), heard)
    assert report.violation is None
    forms = [len(found) for found in heard.forms.values()]
    assert sum(count > 1 for count in forms) > 100, "the liar did not change the words of others"
    assert not {name for name in report.probes if name.startswith("evidence.")}


def test_r4_statements_are_repeated_in_the_same_bytes_after_a_restart() -> None:
    """In this world signing again would give other bytes."""
    said = Said()
    assert run(Task(0, "malleable-signatures"), said).violation is None
    again = [lives for lives in said.said.values() if len(lives) > 1]
    assert len(again) > 5
    assert all(len(set.union(*lives.values())) == 1 for lives in again)


def test_row_12_a_cluster_by_flags_has_the_malleator_too() -> None:
    options = Options(nodes=4, byzantine_nodes=1, tickets=6, adversary="malleable-signer")
    heard = Heard(of_the_liar=True)
    results = PlainRun(options, lambda *_numbers: None, heard).run()
    assert (results.ended, results.violation, results.validated_tickets) == ("all_processed", None, 6)
    assert any(len(found) > 1 for found in heard.forms.values())


def test_r6_a_commit_is_processed_although_a_prepare_has_the_same_body() -> None:
    """Their bodies are equal byte for byte: the body alone does not identify a statement."""
    report = run(Task(1, "calm", "certificate-not-kept"))
    assert report.checker == "durable-before-send"
    assert " Commit " in str(report.violation)


@pytest.mark.parametrize(
    "mutant", ["statement-identified-by-bytes", "two-forms-are-a-lie", "two-forms-are-two-votes"]
)
def test_a_signature_form_bug_shows_only_with_malleable_signatures(mutant: str) -> None:
    assert run(Task(0, "leaderless", mutant)).violation is None
