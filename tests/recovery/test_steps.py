"""The five steps on real ledgers: what was acknowledged stays, and every step may be done again (R11)."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import pytest
from django.core.management import CommandError

from dtvn.machine import Admit, TicketApplication
from dtvn.net import public_key_of, read_seed
from dtvn.node.build import build_node
from dtvn.node.continuing import save
from dtvn.node.epochs import membership_of
from dtvn.node.non_member import NonMember
from dtvn.node.options import NodeOptions
from dtvn.node.state_file import open_state
from dtvn.proof import ChainFile, ProofError, chain_json, decode_certificate, read_chain, read_stable, verify
from dtvn.proof.epoch_chain import epoch_change_certificate
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.consensus.epoch_change import EPOCH
from dtvn.protocol.consensus.executor import Executor
from tests.proof.support import VALID, PaperLog
from tests.proof.verdicts import facts, small_facts
from tests.recovery.steps import SEVEN, Steps, replayed
from validators.ledger import open_ledger
from validators.ledger.proofs import lowest_checkpoint
from verifier import dtvn_verify


def shown_again(log: PaperLog, application: TicketApplication, executor: Executor) -> list[str]:
    """Outcomes of admitting each of the seven tickets again in the recovered epoch."""
    log.application, log.executor = application, executor
    scans = [log.operation(Admit(gate="south"), ticket, nonce=ticket.encode()) for ticket in SEVEN]
    until = executor.timestamp + VALID
    step = log.order([msgspec.structs.replace(scan, valid_until=until) for scan in scans])
    return [outcome.code for outcome in step.done()[0][1].outcomes]


def test_r11_seven_admissions_above_the_checkpoint_stay_admitted(sealed: Steps) -> None:
    old = {name: sealed.data.node(name).key.read_bytes() for name in sealed.names}
    for name in sealed.names:
        assert "continues in epoch 1 after sequence 68" in sealed.install(name)
        key = sealed.data.node(name).key
        assert key.read_bytes() != old[name]
        assert not sealed.data.node(name).recovery_key.exists()
    for name in ("r0", "r1", "r3"):
        with sealed.ledger(name) as ledger:
            membership = membership_of(ledger, sealed.town.genesis)
            mine = public_key_of(read_seed(sealed.data.node(name).key))
            assert membership.members[int(name[1:])].public_key == mine
            core, application = replayed(sealed, ledger, name)
            assert (core.executed, core.state.log.stable, core.voting, core.state.views.view) == (
                68,
                68,
                True,
                0,
            )
            log = PaperLog(4)
            log.steps = [*sealed.town.log.steps]
            log.session, log.number = sealed.town.log.session, sealed.town.log.number
            codes = shown_again(log, application, core.state.executor)
            assert codes == ["already_consumed"] * 7, name


def test_r11_a_ledger_of_the_next_epoch_holds_no_slots_of_the_ended_one(sealed: Steps) -> None:
    with sealed.ledger("r0") as ledger:
        assert ledger.load().slots
    sealed.install("r0")
    with sealed.ledger("r0") as ledger:
        assert not ledger.load().slots


def test_r11_a_member_that_lost_its_disk_waits_for_a_state(sealed: Steps) -> None:
    for name in sealed.names:
        sealed.install(name)
    with sealed.ledger("r2") as ledger:
        core, _application = replayed(sealed, ledger, "r2")
        assert core.voting
        assert not core.state.has_reached_epoch
        assert core.transfer.wanted()
        assert core.transfer._base is not None
        assert core.transfer._base.sequence == 68


def test_r26_outcomes_are_proved_by_checkpoints_not_by_an_epoch_end(sealed: Steps) -> None:
    """What all members signed has another form; the next checkpoint covers the same log."""
    sealed.install("r0")
    with sealed.ledger("r0") as ledger:
        assert ledger.checkpoint_from(61) is not None
        assert lowest_checkpoint(ledger.alias, 61) is None
        found = lowest_checkpoint(ledger.alias, 60)
        assert found is not None
        assert found.sequence == 60


def test_r11_an_interrupted_install_completes_after_a_new_state_file(sealed: Steps) -> None:
    """The key is installed, the ledger is not written; then the procedure starts again at step one."""
    node = sealed.data.node("r0")
    node.recovery_key.replace(node.next_key)
    sealed.run("state", "--vouch", "--out", sealed.file("again.state"), node="r0")
    assert "continues in epoch 1" in sealed.install("r0")


def test_r11_an_older_recovery_sets_nothing_back(sealed: Steps) -> None:
    """Installed again after a second one: ledger, gateway and nodes know the later epoch."""
    for name in sealed.names:
        sealed.install(name)
    older = Path(sealed.file("cup.sealed")).rename(sealed.file("older.sealed"))
    sealed.seal(vouchers=("r0", "r1"), late=("r2",))
    for name in sealed.names:
        last = sealed.install(name)
    told = sealed.data.epoch_changes, sealed.data.node("r0").sources
    before = [path.read_bytes() for path in told]
    assert sealed.run("install", str(older), node="r3") == last
    assert "r3 continues in epoch 2" in last
    assert [path.read_bytes() for path in told] == before
    sealed.data.epoch_changes.write_bytes(b"noise")
    sealed.data.node("r0").sources.unlink()
    sealed.install("r3")
    assert [path.read_bytes() for path in told] == before, "what is unreadable or gone is written again"


def test_r11_a_member_removed_since_a_recovery_cannot_install_it(sealed: Steps) -> None:
    sealed.install("r3")
    with sealed.ledger("r3") as ledger:
        now = membership_of(ledger, sealed.town.genesis)
        without = msgspec.structs.replace(now, epoch=2, members=now.members[:3])
        ledger.append([StateRecord(EPOCH, canonical.encode_trimmed(without))])
    with pytest.raises(CommandError, match=r"of epoch 2, in which its ledger is; .* epoch 0, which is over"):
        sealed.install("r3")


def test_r11_a_ledger_lost_after_signing_takes_a_state(sealed: Steps) -> None:
    sealed.lose("r0")
    assert "continues in epoch 1" in sealed.install("r0")
    with sealed.ledger("r0") as ledger:
        core, _application = replayed(sealed, ledger, "r0")
        assert (core.voting, core.state.has_reached_epoch, core.transfer.wanted()) == (True, False, True)


def test_r11_a_member_that_lost_its_ledger_after_install_can_start(sealed: Steps) -> None:
    """Its key may have voted in the new epoch, so nothing is put in that ledger; it comes as others do."""
    sealed.install("r0")
    sealed.lose("r0")
    for _ in range(2):
        with pytest.raises(CommandError, match=r"r0 has its key of epoch 1 already.* start the node"):
            sealed.install("r0")
    with sealed.ledger("r0") as ledger:
        assert membership_of(ledger, sealed.town.genesis).epoch == 0
    built = build_node(sealed.data.node("r0").root, logging.getLogger("test"), NodeOptions(), open_ledger)
    built.close()
    assert isinstance(built, NonMember)


def test_r11_a_recovered_end_can_be_continued_before_a_checkpoint(sealed: Steps) -> None:
    """A second disaster right after the recovery: the newest certified state is the end of the epoch."""
    sealed.install("r0")
    out = sealed.root / "cup.state"
    with sealed.ledger("r0") as ledger:
        save(ledger, sealed.town.genesis, out, began_with=sealed.data.continued)
    found = open_state(out)
    assert (found.continued.epoch, found.continued.sequence) == (0, 68)
    assert [signer.id for signer in found.continued.signers] == sealed.names
    assert sum(len(items) for items in found.items())


def test_r11_certificates_chain_across_a_recovery_in_all_verifiers(sealed: Steps) -> None:
    certificate = sealed.town.log.receipts(67)
    sealed.install("r1")
    with sealed.ledger("r1") as ledger:
        ended = epoch_change_proof.find(ledger.load().states, 0)
    assert ended is not None
    link = epoch_change_certificate(ended.value, sealed.town.cluster)
    chain = canonical.encode(ChainFile(1, g.encode(sealed.town.genesis), (link,)))
    path = sealed.root / "epochs.json"
    path.write_bytes(chain_json(chain))
    ours, theirs = read_chain(chain), dtvn_verify.Chain(dtvn_verify.read(path, "chain"))
    assert [epoch.after for epoch in ours.epochs] == [after for _members, after in theirs.epochs] == [0, 68]
    found = facts(verify(decode_certificate(certificate), ours))
    assert small_facts(dtvn_verify.Proved(certificate, theirs)) == found
    frames = canonical.decode(epoch_change_proof.EpochChangeProof, ended.value).checkpoint
    assert read_stable(frames, ours).sequence == 68, "what a node shows of a state until its next checkpoint"
    with pytest.raises(ProofError):
        read_stable(frames[:3], ours)
