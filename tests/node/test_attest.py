"""Answers of a node for proofs: receipts of executed entries, and stored misbehaviour."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dtvn.gateway import Gateway
from dtvn.node import attest
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import EntryRecord, EvidenceRecord
from dtvn.protocol.wire import ED25519
from dtvn.protocol.wire.envelope import encode_envelope, signed_bytes
from tests.host.support import Paper, key_pair
from tests.node.running import Running, answer_of, until_commits
from tests.waiting import wait_until
from validators.ledger.archive import open_archives


def ask(gateway: Gateway, what: str, *arguments: str) -> Any:
    answer = answer_of(gateway, what, *arguments)
    return answer.code or msgspec.json.decode(answer.text)


def test_r26_receipts_are_signed_for_executed_entries_only(running: Running) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        last = running.node.executed
        (archive,) = open_archives(str(running.root / "ledger"), running.node.cluster)
        log = archive.entry_hashes()
        for sequence in range(1, last + 1):
            told = ask(gateway, "receipt", str(sequence))
            body = canonical.encode(m.Receipt(0, 0, sequence, log[sequence]))
            data = signed_bytes(running.node.cluster, m.KIND_OF[m.Receipt], body)
            key = running.node.genesis.members[0].public_key
            assert ED25519.verify(key, data, base64.b64decode(told["signature"]))
        assert ask(gateway, "receipt", str(last + 100)) == "not_executed"
        assert ask(gateway, "receipt", "0") == "not_executed"
        for arguments in ((), ("x",), ("-1",), ("1", "2"), ("9" * 40,)):
            assert ask(gateway, "receipt", *arguments) == "bad_arguments"


def test_r35_an_entry_of_an_ended_epoch_gets_no_receipt_of_this_one() -> None:
    """Members of this epoch may never have executed it: its own members signed for it."""
    paper = Paper()
    log = {
        sequence: EntryRecord(
            m.Entry(epoch, sequence, bytes(32), bytes(32), 1, bytes(32)), bytes(32), b"", ()
        )
        for sequence, epoch in ((7, 0), (8, 1))
    }
    signer = SimpleNamespace(sign=paper.sign)
    state = SimpleNamespace(index=0, signer=signer)
    node: Any = SimpleNamespace(
        id="node0",
        executed=8,
        journal=SimpleNamespace(entries=lambda first, _last, _bytes: [log[first]]),
        core=SimpleNamespace(config=SimpleNamespace(epoch=1), state=state),
    )
    assert attest.receipt(node, ("7",)) == ("not_executed", None)
    code, told = attest.receipt(node, ("8",))
    assert (code, told["sequence"]) == ("", 8)


def test_p22_stored_evidence_is_answered_page_by_page(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attest, "EVIDENCE_PAGE", 2)
    kind, signature = m.KIND_OF[m.Commit], key_pair("nobody")[1]
    frames = [
        tuple(
            encode_envelope(kind, canonical.encode(m.Commit(0, 0, 0, s, bytes([d]) * 32)), signature)
            for d in (1, 2)
        )
        for s in (1, 2, 3)
    ]
    with running.gateway() as gateway:
        until_commits(gateway)
        assert ask(gateway, "evidence", "0")["evidence"] == []
        for sequence, pair in enumerate(frames, 1):
            record = EvidenceRecord("commit", 0, 0, 0, sequence, pair)
            running.node.core.state.outbox.persist(record)
        until_commits(gateway)
        first = _until_told(gateway)
        assert [base64.b64decode(frame) for frame in first[0]["frames"]] == list(frames[0])
        assert [row["sequence"] for row in first] == [1, 2]
        rest = ask(gateway, "evidence", str(first[-1]["id"]))["evidence"]
        assert [row["sequence"] for row in rest] == [3]
        assert ask(gateway, "evidence", str(rest[-1]["id"]))["evidence"] == []
        assert ask(gateway, "evidence", "newest") == "bad_arguments"


def test_p22_a_page_of_evidence_is_bounded_in_bytes_and_has_one_piece_at_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attest, "EVIDENCE_PAGE_BYTES", 100)
    frames = canonical.encode((bytes(20), bytes(20)))
    large = canonical.encode((bytes(200), b""))
    rows = [
        SimpleNamespace(
            id=number, code="commit", epoch=0, member=1, view=2, sequence=3, timestamp=4, frames=each
        )
        for number, each in enumerate((large, frames, frames, frames), 1)
    ]
    ledger = SimpleNamespace(evidence=lambda after, most: rows[after:][:most])
    node: Any = SimpleNamespace(id="node0", ledger=ledger)
    pages = [attest.evidence(node, (after,))[1]["evidence"] for after in ("0", "1", "3")]
    assert [[row["id"] for row in page] for page in pages] == [[1], [2, 3], [4]]
    assert pages[2] == [
        {
            "id": 4,
            "code": "commit",
            "epoch": 0,
            "member": 1,
            "view": 2,
            "sequence": 3,
            "timestamp": 4,
            "frames": [base64.b64encode(bytes(20)).decode()] * 2,
        }
    ]


def _until_told(gateway: Gateway) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []

    def full() -> bool:
        told[:] = ask(gateway, "evidence", "0")["evidence"]
        return len(told) == 2

    wait_until(full, what="the evidence is not told")
    return told
