"""Certificates over REST: a real learner's ledger, receipts of members, the command that checks them."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.http import HttpResponse
from django.test import Client

from dtvn.gateway import Answered
from dtvn.machine import Admit, Issue, Seed
from dtvn.machine.codes import code_digest, default_salt
from dtvn.proof import read_chain, unwrap
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import CheckpointRecord, StateRecord
from tests.fake_gateway import FakeGateway
from tests.host.support import key_pair
from tests.pages.learner import ALIAS, _Replaced
from tests.proof.support import Later, PaperLog
from tests.team_keys import store_key
from tickets.services import certify
from validators.feed import progress
from validators.ledger import Ledger, open_ledger
from validators.ledger.proofs import EntryProof, LogPaths
from validators.rest import keys
from validators.services import network
from verifier import dtvn_verify

KEY = "dtvn_test_key_of_the_proof_suite"
pytestmark = pytest.mark.django_db(databases=["default", "learner"])


class PaperMembers(FakeGateway):
    """Members that give receipts for the paper's log, but for those named in `silent` and `lying`."""

    def __init__(self, log: PaperLog) -> None:
        super().__init__(log.genesis, principal="gateway")
        self.log = log
        self.silent: set[int] = set()
        self.lying: set[int] = set()
        self.hanging: set[int] = set()
        self.asked = 0
        self.waits: set[float] = set()

    def query(
        self, member: int, what: str, arguments: Sequence[str] = (), *, wait: float = 2.0
    ) -> Future[Answered]:
        if what != "receipt":
            return super().query(member, what, arguments, wait=wait)
        self.asked += 1
        self.waits.add(wait)
        future: Future[Answered] = Future()
        if member in self.hanging:
            return future
        sequence = int(arguments[0])
        hashed = bytes(32) if member in self.lying else self.log.steps[sequence - 1].entry_hash
        epoch = self.log.steps[sequence - 1].entry.epoch
        ((_index, signature),) = self.log.sign(
            m.Receipt(epoch, 0, sequence, hashed), [member], self.log.epochs[epoch]
        )
        text = json.dumps({"signature": base64.b64encode(signature).decode()})
        future.set_result(Answered(0, "down", "") if member in self.silent else Answered(0, "", text))
        return future


class Platform:
    """A learner's ledger filled from a paper log, and the API above it."""

    def __init__(self, log: PaperLog, ledger: Ledger, members: PaperMembers) -> None:
        self.log = log
        self.ledger = ledger
        self.members = members
        self.client = Client()
        self._written = 0

    def learn(self, *checkpoints: int) -> None:
        """Write what the log has gained, as the learner's process does, and these stable checkpoints."""
        steps = self.log.steps[self._written :]
        self.ledger.append([step.record((b"commit",) * 3) for step in steps])
        for sequence in checkpoints:
            self.ledger.append([self.checkpoint(sequence)])
        for found in self.log.epoch_changes:
            name = epoch_change_proof.record_name(found.entry.epoch)
            self.ledger.append([StateRecord(name, canonical.encode(found))])
        for step in steps:
            self.ledger.notice(step.note(0))
        self._written = len(self.log.steps)
        timestamp = self.log.steps[-1].entry.timestamp
        self.ledger.materialise(self.log.application.changes(), self._written, timestamp)

    def get(self, path: str) -> HttpResponse:
        return self.client.get(f"/api/v1/{path}", headers={"X-API-Key": KEY})

    def checkpoint(self, sequence: int) -> CheckpointRecord:
        entry, state = self.log.steps[sequence - 1].entry, self.log.roots[sequence - 1]
        root = canonical.merkle_root(self.log.hashes[:sequence])
        frames = self.log.checkpoint_frames(sequence)
        return CheckpointRecord(entry.epoch, sequence, state, root, entry.timestamp, frames)


@pytest.fixture
def platform(db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    keys.forget()
    monkeypatch.setattr(progress, "_listener", None)
    monkeypatch.setattr(certify, "_paths", LogPaths(ALIAS))
    log = PaperLog()
    members = PaperMembers(log)
    network.use(members)
    store_key(KEY, label="suite")
    alias = _Replaced()
    ledger = open_ledger(tmp_path / "ledger", cluster_id=log.cluster, alias=ALIAS, indexed=True)
    alias.share()
    ledger.load()
    yield Platform(log, ledger, members)
    ledger.close()
    alias.restore()
    network.use(None)
    if progress._listener is not None:
        progress._listener.close()


def code_of(response: HttpResponse) -> tuple[int, str]:
    return response.status_code, json.loads(response.content)["code"]


def say(*arguments: Any) -> str:
    out = StringIO()
    call_command("verify_certificate", *map(str, arguments), stdout=out)
    return out.getvalue()


def saved(platform: Platform, folder: Path, path: str, name: str) -> Path:
    response = platform.get(path)
    assert response.status_code == 200, response.content
    assert response.headers["Content-Disposition"].startswith("attachment; filename=")
    file = folder / name
    file.write_bytes(response.content)
    return file


def test_r27_receipts_prove_a_fresh_admission_and_the_log_an_old_one(
    platform: Platform, tmp_path: Path
) -> None:
    platform.log.admit()
    platform.learn()
    chain = saved(platform, tmp_path, "epochs", "epochs.json")
    fresh = saved(platform, tmp_path, "tickets/TICKET-1/certificate", "fresh.json")
    said = say(fresh, "--genesis", chain)
    assert said.startswith("ticket TICKET-1 of event default: admit -> ok at sequence 3, index 0, epoch 0")
    assert "proved by their receipts" in said
    assert (platform.members.asked, platform.members.waits) == (4, {certify.RECEIPT_WAIT})
    platform.log.fill(20)
    platform.learn(10, 20)
    platform.members.silent = {0, 1, 2, 3}
    old = saved(platform, tmp_path, "tickets/TICKET-1/certificate", "old.json")
    assert "under their checkpoint at sequence 10, epoch 0" in say(old, "--genesis", chain)
    assert "both can be true" in say(fresh, "--genesis", chain, "--against", old)
    assert max(fresh.stat().st_size, old.stat().st_size) <= 2_048
    assert platform.get("tickets/TICKET-1/certificate").headers["X-DTVN-Sequence"].isdigit()


def test_r48_the_place_of_a_repeat_is_answered_with_the_first_place(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = platform.log.admit().entry.sequence
    scan = platform.log.operation(Admit(gate="north", device="scanner-7"), "TICKET-1", nonce=b"scan-1")
    again = platform.log.order([scan]).entry.sequence
    platform.learn()
    chain = saved(platform, tmp_path, "epochs", "epochs.json")
    shown = saved(platform, tmp_path, f"tickets/TICKET-1/certificate?at={again}", "repeat.json")
    assert f"admit -> ok at sequence {first}, index 0" in say(shown, "--genesis", chain)
    read = certify.read_entry_proof

    def without_first(alias: str, sequence: int) -> EntryProof | None:
        return None if sequence == first else read(alias, sequence)

    monkeypatch.setattr(certify, "read_entry_proof", without_first)
    response = platform.get(f"tickets/TICKET-1/certificate?at={again}")
    assert code_of(response) == (410, "first_place_gone")
    assert "the log of r0, r1, r2, r3 may hold it" in json.loads(response.content)["error"]


def test_r27_q_receipts_are_found_though_f_members_are_silent_or_lie(
    platform: Platform, tmp_path: Path
) -> None:
    platform.log.admit()
    platform.learn()
    chain = saved(platform, tmp_path, "epochs", "epochs.json")
    for silent, lying in (({1}, set()), (set(), {2})):
        platform.members.silent, platform.members.lying = silent, lying
        certificate = saved(platform, tmp_path, "tickets/TICKET-1/certificate", "certificate.json")
        assert "3 of 4 members" in say(certificate, "--genesis", chain)
    platform.members.silent, platform.members.lying = {1}, {2}
    response = platform.get("tickets/TICKET-1/certificate")
    assert code_of(response) == (503, "not_provable_yet")
    assert response.headers["Retry-After"]


def test_r27_a_member_that_hangs_takes_no_receipt_of_the_others(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.log.admit()
    platform.learn()
    monkeypatch.setattr(certify, "RECEIPT_WAIT", -0.95)
    chain = saved(platform, tmp_path, "epochs", "epochs.json")
    platform.members.hanging = {0}
    certificate = saved(platform, tmp_path, "tickets/TICKET-1/certificate", "certificate.json")
    assert "signed by r1, r2, r3: 3 of 4 members" in say(certificate, "--genesis", chain)
    platform.members.hanging = {0, 1}
    assert code_of(platform.get("tickets/TICKET-1/certificate")) == (503, "not_provable_yet")


def test_r27_each_member_is_waited_for_until_the_same_moment(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that answers late leaves less time for those behind it, but what they said by then counts."""
    platform.log.admit()
    now, waited = [100.0], list[float | None]()
    slow = iter((0.5, 2.0, 9.0, 0.0))

    class Slow(Future[Answered]):
        def result(self, timeout: float | None = None) -> Answered:
            waited.append(timeout)
            now[0] += next(slow)
            return super().result(timeout)

    def query(member: int, what: str, arguments: Sequence[str] = (), *, wait: float = 0) -> Future[Answered]:
        answer, future = ask(member, what, arguments, wait=wait).result(0), Slow()
        future.set_result(answer)
        return future

    ask = platform.members.query
    monkeypatch.setattr(platform.members, "query", query)
    monkeypatch.setattr(certify, "time", SimpleNamespace(monotonic=lambda: now[0]))
    offered = list(certify._offered(platform.members, 4, 3))
    assert [(member, len(signature)) for member, signature in offered] == [(n, 64) for n in range(4)]
    most = certify.RECEIPT_WAIT + 1
    assert waited == [most, most - 0.5, most - 2.5, 0.0]


def test_r26_members_are_asked_for_no_receipt_of_an_ended_epoch(platform: Platform, tmp_path: Path) -> None:
    """The keys of that epoch may be gone, but its last checkpoint proves the outcome once the copy has it."""
    log = platform.log
    log.admit("OLD")
    log.change(leaves="r1")
    first = len(log.steps)
    log.admit("NEW")
    platform.learn()
    platform.members.present = log.application.membership()
    assert code_of(platform.get("tickets/OLD/certificate")) == (503, "not_provable_yet")
    assert platform.members.asked == 0
    assert platform.get("tickets/NEW/certificate").status_code == 200
    platform.learn(first)
    assert platform.get("tickets/OLD/certificate").status_code == 200


def test_r26_members_are_asked_for_no_receipt_of_an_epoch_that_the_copy_does_not_know(
    platform: Platform,
) -> None:
    """The network is ahead of the platform's copy, whose chain lacks the newest members' keys."""
    log = platform.log
    log.change(leaves="r1")
    log.admit("NEW")
    log.epoch_changes.clear()
    platform.learn()
    platform.members.present = log.application.membership()
    assert code_of(platform.get("tickets/NEW/certificate")) == (503, "not_provable_yet")
    assert platform.members.asked == 0


def test_r26_a_damaged_checkpoint_of_the_copy_proves_nothing(platform: Platform, tmp_path: Path) -> None:
    """Nor does it keep receipts from proving the outcome."""
    platform.log.admit()
    platform.log.fill(20)
    platform.learn()
    chain = saved(platform, tmp_path, "epochs", "epochs.json")
    sound = platform.checkpoint(10)
    platform.ledger.append([msgspec.structs.replace(sound, frames=sound.frames[:2])])
    fresh = saved(platform, tmp_path, "tickets/TICKET-1/certificate", "fresh.json")
    assert "proved by their receipts" in say(fresh, "--genesis", chain)
    platform.members.silent = {0, 1}
    assert code_of(platform.get("tickets/TICKET-1/certificate")) == (503, "not_provable_yet")


def test_an_admission_by_code_is_proved_as_that_of_its_ticket(platform: Platform, tmp_path: Path) -> None:
    """The operation names no ticket: the state of its outcome does."""
    log = platform.log
    code = code_digest(default_salt(log.cluster, "default"), "printed")
    log.order([log.operation(Issue(product="Day pass", codes=(code,)), "T-1"), log.operation(Issue(), "T-2")])
    log.order([log.operation(Admit("north", code=code)), log.operation(Admit("south", code=code))])
    platform.learn()
    chain = saved(platform, tmp_path, "epochs", "epochs.json")
    told = say(saved(platform, tmp_path, "tickets/T-1/certificate", "last.json"), "--genesis", chain)
    assert told.startswith("ticket T-1 of event default: admit -> ok at sequence 3, index 0")
    assert "Day pass" in told
    refused = saved(platform, tmp_path, "tickets/T-1/certificate?at=3.1", "refused.json")
    assert "admit -> already_consumed" in say(refused, "--genesis", chain)
    assert code_of(platform.get("tickets/T-2/certificate?at=3.0")) == (404, "outcome_not_found")


def test_a_certificate_shows_no_outcome_of_the_same_id_in_another_event(platform: Platform) -> None:
    """A key for the gala reads nothing of the ball: neither a named outcome, nor the last one."""
    log = platform.log
    log.order([log.operation(Issue(), "T-1", event="ball"), log.operation(Issue(), "T-1", event="gala")])
    log.order([log.operation(Admit("north"), "T-1", event="ball")])
    platform.learn()
    store_key("dtvn_gala", label="gala", event="gala")
    keys.forget()

    def asked(path: str) -> HttpResponse:
        return platform.client.get(f"/api/v1/tickets/T-1/{path}", headers={"X-API-Key": "dtvn_gala"})

    for at in ("2.0", "3.0"):
        assert code_of(asked(f"certificate?at={at}")) == (404, "outcome_not_found")
    assert asked("certificate?at=2.1").content == asked("certificate").content
    assert code_of(asked("certificate?event=ball")) == (403, "not_permitted")


def test_an_outcome_that_cannot_be_proved_gets_the_reason(platform: Platform) -> None:
    log = platform.log
    log.admit()
    log.order([log.operation(Seed())])
    platform.learn()
    expected = {
        "tickets/NOBODY/certificate": (404, "ticket_not_found"),
        "tickets/-!/certificate": (404, "ticket_not_found"),
        "tickets/TICKET-1/certificate?event=other": (404, "ticket_not_found"),
        "tickets/TICKET-1/certificate?event=-": (400, "bad_request"),
        "tickets/TICKET-1/certificate?at=4": (404, "outcome_not_found"),
        "tickets/TICKET-1/certificate?at=3.7": (404, "outcome_not_found"),
        "tickets/TICKET-1/certificate?at=99": (404, "outcome_not_found"),
        "tickets/TICKET-1/certificate?at=x": (400, "bad_request"),
        "tickets/TICKET-1/certificate?at=3.-1": (400, "bad_request"),
        "tickets/TICKET-1/certificate?at=3.": (400, "bad_request"),
        "tickets/TICKET-1/certificate?at=.0": (400, "bad_request"),
        "tickets/TICKET-1/certificate?at=\u0663": (400, "bad_request"),
        "tickets/TICKET-1/certificate?at=\u00b2": (400, "bad_request"),
        f"tickets/TICKET-1/certificate?at={'9' * 18}.{'9' * 18}": (404, "outcome_not_found"),
        f"tickets/TICKET-1/certificate?at={'9' * 19}": (400, "bad_request"),
        f"tickets/TICKET-1/certificate?at=3.{'9' * 19}": (400, "bad_request"),
        "tickets/TICKET-001/certificate": (409, "nothing_to_prove"),
    }
    assert {path: code_of(platform.get(path)) for path in expected} == expected
    assert platform.client.get("/api/v1/tickets/TICKET-1/certificate").status_code == 401
    assert platform.client.get("/api/v1/epochs").status_code == 401


def test_an_outcome_whose_entry_the_copy_lacks_is_told_from_one_that_is_to_come(platform: Platform) -> None:
    """As the newest entries after a snapshot, and all of a cluster that this one continues."""
    platform.log.admit()
    platform.learn()
    assert len(platform.log.steps) == 3
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("DELETE FROM ledger_entrystates WHERE sequence >= 2")
    lacks, unknown = (409, "not_provable"), (404, "outcome_not_found")
    places = [f"tickets/TICKET-1/certificate?at={sequence}" for sequence in (2, 3, 4)]
    assert [code_of(platform.get(place)) for place in places] == [lacks, lacks, unknown]
    assert code_of(platform.get("tickets/TICKET-1/certificate")) == lacks
    continued = g.Continued(bytes(32), 0, 2, bytes(32), bytes(32), bytes(32), 0)
    platform.members.genesis = g.continuing(platform.members.genesis, continued)
    said = [json.loads(platform.get(place).content)["error"] for place in places[:2]]
    assert ["cluster that this one continues" in each for each in said] == [True, False]


def test_the_command_reports_the_error_and_exits_with_1(platform: Platform, tmp_path: Path) -> None:
    platform.log.admit()
    platform.learn()
    chain = saved(platform, tmp_path, "epochs", "epochs.json")
    certificate = saved(platform, tmp_path, "tickets/TICKET-1/certificate", "certificate.json")
    forged = tmp_path / "forged.json"
    forged.write_bytes(certificate.read_bytes().replace(b"A", b"B", 1))
    for file, genesis in (
        (forged, chain),
        (chain, chain),
        (certificate, certificate),
        (tmp_path / "no", chain),
    ):
        with pytest.raises(CommandError, match="not proved: ") as refused:
            say(file, "--genesis", genesis)
        assert refused.value.returncode == 1


def test_r27_the_command_names_who_signed_two_histories(tmp_path: Path) -> None:
    one, other = PaperLog(), PaperLog()
    one.admit(gate="north")
    other.admit(gate="south")
    (tmp_path / "chain").write_bytes(one.chain())
    (tmp_path / "one").write_bytes(one.receipts(3, signers=[0, 1, 2]))
    (tmp_path / "other").write_bytes(other.receipts(3, signers=[1, 2, 3]))
    with pytest.raises(CommandError, match=r"convicted, having signed both: r1, r2 \(f \+ 1 = 2\)"):
        say(tmp_path / "one", "--genesis", tmp_path / "chain", "--against", tmp_path / "other")


def test_r35_with_pins_stolen_former_keys_prove_nothing_after_their_epoch(tmp_path: Path) -> None:
    """Cut to the epoch of those keys, the chain would not say that it has ended."""
    log, forged = PaperLog(), PaperLog()
    log.fill(20)
    (tmp_path / "short").write_bytes(log.chain())
    (tmp_path / "whole").write_bytes(log.chain(Later(log, ["r1", "r2", "r3", "r4"]).epoch_change_proof))
    forged.fill(40)
    forged.admit()
    (tmp_path / "forged").write_bytes(forged.receipts(len(forged.steps)))
    pin = tmp_path / "pin.json"
    for chain in ("whole", "short"):
        with pytest.raises(CommandError, match="not proved: "):
            say(tmp_path / "forged", "--genesis", tmp_path / chain, "--pin", pin)


def test_r35_a_chain_that_contradicts_a_pinned_epoch_is_refused(tmp_path: Path) -> None:
    log = PaperLog()
    log.admit()
    certificate, pin = tmp_path / "certificate", tmp_path / "pin.json"
    certificate.write_bytes(log.receipts(3))
    for name, members in (("good", ["r1", "r2", "r3", "r4"]), ("forked", ["r0", "r1", "r2", "r9"])):
        (tmp_path / name).write_bytes(log.chain(Later(log, members).epoch_change_proof))
    (tmp_path / "short").write_bytes(log.chain())
    (tmp_path / "foreign").write_bytes(PaperLog(name="foreign").chain())
    for chain in ("short", "good", "good"):
        assert "admit -> ok" in say(certificate, "--genesis", tmp_path / chain, "--pin", pin)
    with pytest.raises(CommandError, match="this chain contradicts epoch 1 that was pinned"):
        say(certificate, "--genesis", tmp_path / "forked", "--pin", pin)
    with pytest.raises(CommandError, match="this chain contradicts the cluster that was pinned"):
        say(certificate, "--genesis", tmp_path / "foreign", "--pin", pin)
    with pytest.raises(CommandError, match="epoch 1 was seen before: take the newer chain"):
        say(certificate, "--genesis", tmp_path / "short", "--pin", pin)
    assert len(json.loads(pin.read_text())["epochs"]) == 2
    assert key_pair("r4")[0] != key_pair("r9")[0]


def test_r26_paths_in_a_long_log_are_made_from_tiles(platform: Platform, tmp_path: Path) -> None:
    platform.log.admit()
    platform.log.fill(1_300)
    platform.learn(1_300)
    platform.members.silent = {0, 1, 2, 3}
    chain = saved(platform, tmp_path, "epochs", "epochs.json")
    for ticket in ("TICKET-1", "FILL-255", "FILL-256", "FILL-257", "FILL-1023", "FILL-1299"):
        file = saved(platform, tmp_path, f"tickets/{ticket}/certificate", "long.json")
        assert "checkpoint at sequence 1300" in say(file, "--genesis", chain)
        assert file.stat().st_size <= 2_048


def test_r27_receipts_replace_a_too_long_path_while_members_answer(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.log.admit()
    platform.log.fill(20)
    platform.learn(10, 20)
    chain = saved(platform, tmp_path, "epochs", "epochs.json")
    path = platform.get("tickets/TICKET-1/certificate").content
    size = len(path) - len(b'{"success":true,"data":}')
    plays: list[tuple[int, set[int], str, int]] = [
        (size, set(), "under their checkpoint", 0),
        (size - 1, set(), "proved by their receipts", 4),
        (size - 1, {0, 1}, "under their checkpoint", 4),
    ]
    for most, silent, how, asked in plays:
        monkeypatch.setattr(certify, "CERTIFICATE_FILE_MAX", most)
        platform.members.silent, platform.members.asked = silent, 0
        file = saved(platform, tmp_path, "tickets/TICKET-1/certificate", "certificate.json")
        assert how in say(file, "--genesis", chain)
        assert platform.members.asked == asked


def test_r26_a_copy_that_lacks_the_log_below_gives_receipts(platform: Platform, tmp_path: Path) -> None:
    platform.log.admit()
    platform.log.fill(20)
    platform.learn(10, 20)
    chain = saved(platform, tmp_path, "epochs", "epochs.json")
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("DELETE FROM ledger_consensusentry WHERE sequence < 3")
    file = saved(platform, tmp_path, "tickets/TICKET-1/certificate", "certificate.json")
    assert "proved by their receipts" in say(file, "--genesis", chain)
    platform.members.silent = {0, 1}
    assert code_of(platform.get("tickets/TICKET-1/certificate")) == (503, "not_provable_yet")


def test_r26_a_chain_through_all_epochs_proves_their_outcomes(platform: Platform, tmp_path: Path) -> None:
    log = platform.log
    log.admit("OLD")
    log.change(leaves="r1")
    first = len(log.steps)
    log.admit("MIDDLE")
    log.change(joins="r7")
    second = len(log.steps)
    log.fill(second + 2)
    log.admit("NEW")
    platform.learn(first, second)
    platform.members.present = log.application.membership()
    chain = saved(platform, tmp_path, "epochs", "epochs.json")
    found = {
        ticket: say(
            saved(platform, tmp_path, f"tickets/{ticket}/certificate", f"{ticket}.json"), "--genesis", chain
        )
        for ticket in ("OLD", "MIDDLE", "NEW")
    }
    assert f"their checkpoint at sequence {first}, epoch 0" in found["OLD"]
    assert f"their checkpoint at sequence {second}, epoch 1" in found["MIDDLE"]
    assert "2 of 3 members, crash-only, no liar tolerated" in found["MIDDLE"]
    assert "proved by their receipts" in found["NEW"]
    assert "signed by r0, r2, r3: 3 of 4 members" in found["NEW"]
    assert platform.members.asked >= 3
    assert max((tmp_path / f"{ticket}.json").stat().st_size for ticket in found) <= 2_048
    told = StringIO()
    call_command("epochs", "--out", str(tmp_path / "exported.json"), stdout=told)
    exported = unwrap("chain", (tmp_path / "exported.json").read_bytes())
    assert exported == unwrap("chain", chain.read_bytes())
    first_line, second_line, third_line = told.getvalue().splitlines()
    assert first_line.startswith("epoch 0 from sequence 1: r0, r1, r2, r3 (")
    assert second_line.startswith(f"epoch 1 from sequence {first + 1}: r0, r2, r3 (")
    assert third_line.startswith(f"epoch 2 from sequence {second + 1}: r0, r2, r3, r7 (")
    alone = [sys.executable, "-I", dtvn_verify.__file__, "certificate", str(tmp_path / "NEW.json")]
    done = subprocess.run([*alone, "--genesis", str(chain)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["ticket", "NEW"])


@pytest.mark.parametrize(
    ("frames", "stable"), [(0, False), (2, True)], ids=["not stable yet", "a broken copy"]
)
def test_r35_an_unproved_epoch_end_ends_the_chain_but_not_certificates(
    platform: Platform, tmp_path: Path, frames: int, stable: bool
) -> None:
    log = platform.log
    log.admit("OLD")
    log.change(leaves="r1")
    whole = log.epoch_changes[0]
    log.epoch_changes[0] = msgspec.structs.replace(whole, checkpoint=whole.checkpoint[:frames])
    platform.learn(*[len(log.steps)] * stable)
    chain = saved(platform, tmp_path, "epochs", "epochs.json")
    assert len(read_chain(unwrap("chain", chain.read_bytes())).epochs) == 1
    certificate = saved(platform, tmp_path, "tickets/OLD/certificate?at=2.0", "old.json")
    assert "4 members" in say(certificate, "--genesis", chain)
