"""What the five steps refuse, on real ledgers (R11)."""

from __future__ import annotations

import logging
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError

from dtvn.files.epoch_changes import read_epoch_changes
from dtvn.gateway.epochs import Epochs
from dtvn.net import ensure_seed, public_key_of, read_seed
from dtvn.node.build import build_node
from dtvn.node.epochs import membership_of, other_sources
from dtvn.node.keys import VotedStamp
from dtvn.node.options import NodeOptions, StartError
from dtvn.node.promise import check_promise
from dtvn.proof import EVIDENCE, read_chain, read_file
from dtvn.proof.audit import Audit
from dtvn.proof.evidence import convict
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.membership import Membership, founding
from dtvn.recovery import Ending, PlanFile, SealedFile, SignedFile, reach
from tests.recovery.steps import Steps, replayed
from validators.ledger import Ledger, open_ledger
from verifier import dtvn_verify, dtvn_verify_evidence


def test_r11_each_step_can_be_repeated_with_the_same_output(sealed: Steps) -> None:
    files = {path.name: path.read_bytes() for path in sealed.root.iterdir() if path.is_file()}
    sealed.seal(vouchers=("r0", "r1"), late=("r2",))
    assert {path.name: path.read_bytes() for path in sealed.root.iterdir() if path.is_file()} == files
    first = sealed.install("r0")
    assert sealed.install("r0") == first


@pytest.mark.parametrize("moment", ["key offered", "ledger written"])
def test_r11_an_install_cut_off_by_a_crash_is_completed_by_the_next(
    sealed: Steps, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = sealed.data.node("r0").key.read_bytes()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if moment == "key offered":
            patched.setattr(Ledger, "append", crash)
        else:
            patched.setattr(VotedStamp, "clear", crash)
            patched.setattr("dtvn.node.epochs._replace", crash)
        with pytest.raises(KeyboardInterrupt):
            sealed.install("r0")
    assert sealed.data.node("r0").key.read_bytes() == old, "no vote under the new key yet"
    with sealed.ledger("r0") as ledger:
        membership = membership_of(ledger, sealed.town.genesis)
        assert membership.epoch == (moment == "ledger written")
        if not membership.epoch:
            with pytest.raises(StartError, match="genesis recover install"):
                check_promise(sealed.data.node("r0"), membership)
    sealed.install("r0")
    with sealed.ledger("r0") as ledger:
        mine = public_key_of(read_seed(sealed.data.node("r0").key))
        assert membership_of(ledger, sealed.town.genesis).members[0].public_key == mine
        assert replayed(sealed, ledger, "r0")[0].executed == 68


def interrupted(steps: Steps, name: str, *steps_cut: str, words: tuple[str, ...]) -> None:
    """Run one command of a member, which ends as one of these functions is called."""

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        for cut in steps_cut:
            patched.setattr(cut, crash)
        with pytest.raises(KeyboardInterrupt):
            steps.run(*words, node=name)


def voting(steps: Steps, name: str, *, lose: bool = False) -> bool:
    """Whether a member's ledger has its vote; `lose`: it loses it first."""
    with steps.ledger(name) as ledger:
        if lose:
            ledger._replace_meta([], voting=False, voting_reason="it was lost")
        return ledger.voting


@pytest.mark.parametrize("moment", ["validators.ledger.Ledger.vote_again", "dtvn.node.epochs._replace"])
def test_r35_a_state_cut_off_while_the_key_changes_loses_no_vote(sealed: Steps, moment: str) -> None:
    """The ledger is in the epoch of the new key."""
    interrupted(sealed, "r2", "dtvn.node.epochs._replace", words=("install", sealed.file("cup.sealed")))
    assert not voting(sealed, "r2", lose=True)
    state = "state", "--out", sealed.file("x.state")
    interrupted(sealed, "r2", moment, words=state)
    sealed.run(*state, node="r2")
    assert voting(sealed, "r2")


def test_r35_an_old_key_gets_no_vote_back_in_an_epoch_before_the_new_one(sealed: Steps) -> None:
    """The ledger is in the epoch of the old key, and others tell of the next."""
    sealed.install("r0")
    told = sealed.file("told.state")
    sealed.run("state", "--out", told, node="r0")
    interrupted(sealed, "r2", "validators.ledger.Ledger.append", words=("install", sealed.file("cup.sealed")))
    assert not voting(sealed, "r2", lose=True)
    state = "state", "--epochs", told, "--out", sealed.file("x.state")
    interrupted(sealed, "r2", "dtvn.node.epochs._replace", words=state)
    assert not voting(sealed, "r2")
    sealed.run(*state, node="r2")
    assert voting(sealed, "r2")


def test_r11_a_member_that_signed_no_longer_votes_in_its_epoch(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    check_promise(steps.data.node("r0"), founding(steps.town.genesis))
    steps.sign("r0")
    with pytest.raises(StartError, match="votes in it no more"):
        check_promise(steps.data.node("r0"), founding(steps.town.genesis))


def test_r11_a_second_end_of_one_epoch_is_not_signed(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    steps.sign("r0")
    steps.data.node("r1").recovery_key.unlink()
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    with pytest.raises(CommandError, match="r0 signed another end of epoch 0 before"):
        steps.sign("r0")
    steps.sign("r1")


def test_r11_the_record_of_the_signed_end_is_stored_beside_the_key(steps: Steps) -> None:
    """r2 loses its ledger right after `sign`; then there is another plan, and r0 signs that too."""
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    steps.sign("r0")
    steps.sign("r1")
    first = Path(steps.sign("r2", "r0", "r1")).read_bytes()
    steps.lose("r2")
    assert Path(steps.sign("r2")).read_bytes() == first, "the same plan: the same word once more"
    steps.data.node("r3").recovery_key.unlink()
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    good = canonical.decode(SignedFile, Path(steps.sign("r3")).read_bytes())
    said = canonical.decode(m.Continuation, msgspec.msgpack.decode(good.frame)[1])
    frame = steps.town.say(msgspec.structs.replace(said, sender=0))
    liar = Path(steps.file("liar.signed"))
    liar.write_bytes(canonical.encode(msgspec.structs.replace(good, frame=frame)))
    with pytest.raises(CommandError, match="r2 signed another end of epoch 0 before"):
        steps.sign("r2", "r3", "liar")
    assert steps.data.node("r2").promise.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StartError, match="votes in it no more"):
        build_node(steps.data.node("r2").root, logging.getLogger("test"), NodeOptions(), open_ledger)


def test_r11_a_node_that_ran_after_its_state_file_does_not_sign(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    with steps.running() as town:
        town.execute(1, [63])
    with pytest.raises(CommandError, match="The ledger of r1 is not as it was when it told its state"):
        steps.sign("r1")


def test_r11_a_member_without_the_log_signs_only_what_f_plus_1_executed(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    steps.sign("r0")
    with pytest.raises(CommandError, match="it signs what 2 of r0, r1, r3 signed"):
        steps.sign("r2")
    with pytest.raises(CommandError, match="it signs what 2 of r0, r1, r3 signed"):
        steps.sign("r2", "r0")
    steps.sign("r3")
    steps.sign("r2", "r0", "r3")


def test_r11_the_signature_of_a_member_without_the_log_does_not_count(steps: Steps) -> None:
    """r2 has no log: it signed what others claim, so its signature does not count."""
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    steps.sign("r0")
    good = canonical.decode(SignedFile, Path(steps.file("r0.signed")).read_bytes())
    said = canonical.decode(m.Continuation, msgspec.msgpack.decode(good.frame)[1])
    frame = steps.town.say(msgspec.structs.replace(said, sender=2))
    liar = Path(steps.file("liar.signed"))
    liar.write_bytes(canonical.encode(msgspec.structs.replace(good, frame=frame, ending=b"")))
    with pytest.raises(CommandError, match="it signs what 2 of r0, r1, r3 signed"):
        steps.sign("r2", "r0", "liar")


def test_r11_a_signature_under_another_plan_is_refused(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    steps.sign("r0")
    steps.data.node("r3").recovery_key.unlink()
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    with pytest.raises(CommandError, match="One of these files is of another plan"):
        steps.sign("r2", "r0")
    good = canonical.decode(SignedFile, Path(steps.file("r0.signed")).read_bytes())
    said = canonical.decode(m.Continuation, msgspec.msgpack.decode(good.frame)[1])
    other = Path(steps.file("epoch.signed"))
    frame = steps.town.say(msgspec.structs.replace(said, epoch=1))
    other.write_bytes(canonical.encode(msgspec.structs.replace(good, frame=frame)))
    with pytest.raises(CommandError, match="One of these files is of another plan"):
        steps.sign("r2", "epoch")


def test_r11_a_ledger_that_does_not_reach_the_signed_end_is_unchanged(
    sealed: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*given: Any) -> Ending:
        ending = reach(*given)
        end = msgspec.structs.replace(ending.continuation, state_root=bytes(32))
        return msgspec.structs.replace(ending, continuation=end)

    monkeypatch.setattr("dtvn.ceremony.recovery_steps.reach", damaged)
    with pytest.raises(CommandError, match="does not come to the end that all members signed"):
        sealed.install("r0")
    with sealed.ledger("r0") as ledger:
        assert membership_of(ledger, sealed.town.genesis).epoch == 0


def test_r11_a_sealed_file_with_the_end_of_another_plan_is_refused(sealed: Steps, steps: Steps) -> None:
    """The signatures of one plan under the statements of another."""
    with steps.running() as town:
        town.execute(1, [63])
        town.prepare(0, 68, null=True)
    whole = canonical.decode(SealedFile, Path(sealed.file("cup.sealed")).read_bytes())
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    plan = canonical.decode(PlanFile, Path(steps.file("cup.plan")).read_bytes())
    Path(steps.file("cup.sealed")).write_bytes(canonical.encode(msgspec.structs.replace(whole, plan=plan)))
    with pytest.raises(CommandError, match="not those of all members under one end of the epoch"):
        steps.install("r0")


def test_r11_the_node_of_a_member_that_signed_does_not_start(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    steps.sign("r0")
    with pytest.raises(StartError, match="votes in it no more"):
        build_node(steps.data.node("r0").root, logging.getLogger("test"), NodeOptions(), open_ledger)


def test_r11_fewer_signatures_than_all_are_refused(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    signed = [steps.sign(name) for name in ("r0", "r1", "r3")]
    with pytest.raises(CommandError, match="r2 must still sign: all 4 signatures are needed"):
        steps.run("seal", steps.file("cup.plan"), *signed, "--out", steps.file("cup.sealed"))


def test_r11_different_ends_are_not_sealed(steps: Steps) -> None:
    """A member that executed something else, or lies: no member continues with its end."""
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    signed = [steps.sign(name) for name in ("r0", "r1", "r3")]
    good = canonical.decode(SignedFile, Path(signed[2]).read_bytes())
    envelope = msgspec.msgpack.decode(good.frame)
    said = canonical.decode(m.Continuation, envelope[1])
    lies = (
        msgspec.structs.replace(said, state_root=bytes(32)),
        msgspec.structs.replace(said, sequence=said.sequence + 1),
    )

    def tell(lie: m.Continuation) -> None:
        frame = steps.town.say(lie)
        Path(signed[2]).write_bytes(canonical.encode(msgspec.structs.replace(good, frame=frame)))

    for lie in lies:
        tell(lie)
        with pytest.raises(CommandError, match="signed different ends"):
            steps.sign("r2", "r0", "r3")
    steps.sign("r2", "r0", "r1")
    for lie in lies:
        tell(lie)
        with pytest.raises(CommandError, match="signed different ends of the epoch"):
            steps.run(
                "seal",
                steps.file("cup.plan"),
                *signed,
                steps.file("r2.signed"),
                "--out",
                steps.file("cup.sealed"),
            )


def test_r11_a_liars_signed_file_does_not_stop_the_others(steps: Steps) -> None:
    """It signed the right end, and shows another entry: nothing signs that part of its file."""
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    signed = [steps.sign(name) for name in ("r0", "r1", "r3")] + [steps.sign("r2", "r0", "r1")]

    def lie(path: str, ending: bytes) -> None:
        good = canonical.decode(SignedFile, Path(path).read_bytes())
        Path(path).write_bytes(canonical.encode(msgspec.structs.replace(good, ending=ending)))

    ending = canonical.decode(
        epoch_change_proof.EpochChangeProof, canonical.decode(SignedFile, Path(signed[0]).read_bytes()).ending
    )
    replace, entry = msgspec.structs.replace, ending.entry
    leaf = bytes([*ending.leaf[:-1], ending.leaf[-1] ^ 1])
    lie(signed[0], canonical.encode(replace(ending, leaf=leaf)))
    other = replace(entry, results_root=bytes(32))
    lie(signed[1], canonical.encode(replace(ending, entry=other)))
    seal = "seal", steps.file("cup.plan"), *signed, "--out", steps.file("cup.sealed")
    assert "The file of r0, r1 is not the entry" in steps.run(*seal)
    assert "continues in epoch 1" in steps.install("r0")
    other = replace(entry, timestamp=entry.timestamp + 1)
    lie(signed[2], canonical.encode(replace(ending, entry=other)))
    with pytest.raises(CommandError, match=r"None .* the entry that ends the epoch: that of r0, r1, r3 is"):
        steps.run(*seal)


def test_r11_a_member_that_signed_two_ends_is_convicted(steps: Steps) -> None:
    """As in practice: under two plans, each with another key of the next epoch."""
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    first = Path(steps.sign("r0")).rename(steps.file("first.signed"))
    steps.data.node("r0").promise.unlink()
    steps.data.node("r0").recovery_key.unlink()
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("other.plan"))
    second = Path(steps.file("second.signed"))
    steps.run("sign", steps.file("other.plan"), "--out", str(second), node="r0")
    for step, plan in (("seal", "cup.plan"), ("seal", "other.plan"), ("sign", "other.plan")):
        named = {"node": "r2"} if step == "sign" else {}
        words = steps.file(plan), str(first), str(second), "--out", steps.file(f"{step}.x")
        with pytest.raises(CommandError, match=rf"r0 signed two .* epoch 0\. .*{step}.evidence convicts it"):
            steps.run(step, *words, **named)
        data = read_file(EVIDENCE, Path(steps.file(f"{step}.evidence")))
        Path(steps.file(f"{step}.evidence")).unlink()
        chain = read_chain(g.encode(steps.town.genesis))
        assert convict(data, chain).sentence() == "r0 is convicted: continuation, epoch 0, two ends of it"
    small = dtvn_verify.Chain(g.encode(steps.town.genesis))
    (said,) = dtvn_verify_evidence.evidence(data, small)
    assert said.startswith("r0 is convicted: continuation, epoch 0")
    audit = Audit(chain)
    audit.add([canonical.decode(SignedFile, path.read_bytes()).frame for path in (first, second)])
    assert list(audit.culprits()) == ["r0"]


def test_r11_a_platform_that_runs_no_node_learns_the_new_keys(sealed: Steps) -> None:
    sealed.data.learner_key.write_text("0" * 64)
    assert "know the members' new keys" in sealed.run("install", sealed.file("cup.sealed"))
    epochs = Epochs(sealed.town.genesis, known=read_epoch_changes(sealed.data.epoch_changes))
    assert (epochs.present.epoch, epochs.present.after) == (1, 68)
    told = canonical.decode(Membership, sealed.data.learner_sources.read_bytes())
    assert told == epochs.present
    assert other_sources(sealed.data.learner_sources, founding(sealed.town.genesis)) != ()


def test_r11_no_step_touches_the_ledger_of_a_running_node(steps: Steps) -> None:
    with steps.ledger("r0"), pytest.raises(CommandError, match="in use by another process"):
        steps.run("state", "--out", steps.file("r0.state"), node="r0")


@pytest.mark.parametrize(("node", "why"), [("r2", "was lost and is empty now"), ("r3", "holds .* turns of")])
def test_r11_the_vouch_flag_is_refused_if_the_ledger_contradicts_it(
    steps: Steps, node: str, why: str
) -> None:
    if node == "r3":
        with steps.ledger("r3") as ledger:
            ledger._replace_meta([], voting=False, voting_reason="it holds 11 turns of 18")
    with pytest.raises(CommandError, match=f"{node} cannot vouch that its log is its newest one: .*{why}"):
        steps.run("state", "--vouch", "--out", steps.file("x.state"), node=node)
    assert not steps.data.node(node).recovery_key.exists()


def test_r11_a_lost_old_key_leads_to_the_advice_of_a_new_cluster(steps: Steps) -> None:
    steps.data.node("r1").key.write_text(sha256(b"another").hexdigest())
    with pytest.raises(CommandError, match="genesis continue"):
        steps.run("state", "--out", steps.file("x.state"), node="r1")
    shutil.rmtree(steps.data.node("r2").identity)
    with pytest.raises(CommandError, match=r"The key of r2 is gone .*genesis continue"):
        steps.run("state", "--out", steps.file("x.state"), node="r2")


def test_r35_the_key_of_a_rotation_under_way_is_not_overwritten(steps: Steps, sealed: Steps) -> None:
    """Where that change is ordered later, its key must be there."""
    for town, step in ((steps, "state"), (sealed, "install")):
        upcoming = town.data.node("r0").next_key
        ensure_seed(upcoming)
        kept = upcoming.read_bytes()
        with pytest.raises(CommandError, match=r"r0: .*next\.key is the key of a rotation .* members cancel"):
            town.states("r0") if step == "state" else town.install("r0")
        assert upcoming.read_bytes() == kept
        with town.ledger("r0") as ledger:
            assert membership_of(ledger, town.town.genesis).epoch == 0


def test_r11_epoch_changes_that_cannot_be_read_are_not_none(tmp_path: Path) -> None:
    """A process that went on without them would know only old keys, and reach no member."""
    assert read_epoch_changes(tmp_path / "missing") == []
    with pytest.raises(IsADirectoryError):
        read_epoch_changes(tmp_path)
