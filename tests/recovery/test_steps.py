"""The five steps on real ledgers, as operators type them (R11)."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from tests.hostcore.support import key_pair
from tests.proof.support import VALID, PaperLog
from tests.recovery.paper import Town
from tickets.machine import Admit, TicketApplication
from tickets.proof import ChainFile, ProofError, chain_json, decode_certificate, read_chain, verify
from tickets.proof.audit import Audit
from tickets.proof.evidence import convict
from tickets.proof.files import EVIDENCE, read_file
from tickets.proof.handover import handover_certificate
from tickets.proof.statements import read_stable
from validators import canonical
from validators import genesis as g
from validators.consensus import Replica, handover
from validators.consensus import config as configuration
from validators.consensus import messages as m
from validators.consensus.effects import Now
from validators.consensus.executor import Executor
from validators.consensus.membership import Membership, founding
from validators.gateway.epochs import Epochs
from validators.handovers_file import read_handovers
from validators.ledger import Ledger, open_ledger
from validators.ledger.proofs import lowest_checkpoint
from validators.link import public_key_of, read_seed
from validators.node.build import build_node
from validators.node.epochs import check_promise, membership_of, other_sources
from validators.node.keyring import KeyRing
from validators.node.keys import VotedStamp
from validators.node.layout import ClusterFolder
from validators.node.options import NodeOptions, StartError
from validators.recovery.ending import Ending, reach
from validators.recovery.forms import PlanFile, SealedFile, SignedFile
from validators.wire import FrameSigner
from verifier import dtvn_verify, dtvn_verify_evidence

SEVEN = [f"T-{number}" for number in range(7)]


@pytest.fixture(autouse=True)
def _databases(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


class Steps:
    """Four members' folders below one, and the commands that their operators type."""

    def __init__(self, root: Path, town: Town) -> None:
        self.root = root
        self.data = ClusterFolder(root / "data")
        self.town = town
        self.names = [f"r{index}" for index in range(town.n)]

    def found(self) -> None:
        """Make keys and genesis of all members."""
        self.data.create()
        content = g.encode(self.town.genesis)
        self.data.genesis.write_bytes(content)
        for name in self.names:
            node = self.data.node(name)
            node.create()
            node.genesis.write_bytes(content)
            node.key.write_text(sha256(name.encode()).hexdigest())
            node.key.chmod(0o600)

    def copied(self, root: Path) -> Steps:
        """The same folders once more: making ledgers takes longer than all that is done with them."""
        shutil.copytree(self.root, root)
        return Steps(root, self.town)

    @contextmanager
    def ledger(self, name: str) -> Iterator[Ledger]:
        """A member's ledger, open and loaded."""
        folder = self.data.node(name)
        opened = open_ledger(
            folder.ledger,
            cluster_id=self.town.cluster,
            alias=f"steps_{name}",
            expect_existing=VotedStamp(folder.identity).present,
        )
        try:
            opened.load()
            yield opened
        finally:
            opened.close()

    @contextmanager
    def running(self) -> Iterator[Town]:
        """The cluster decides: what members come to hold goes into their ledgers."""
        with ExitStack() as stack:
            self.town.disks = [stack.enter_context(self.ledger(name)) for name in self.names]
            for name in self.names:
                VotedStamp(self.data.node(name).identity).write()
            yield self.town

    def lose(self, name: str) -> None:
        """The disk with the ledger is gone; the key is on another one."""
        shutil.rmtree(self.data.node(name).ledger)

    def run(self, step: str, *words: str, node: str = "") -> str:
        """One command; what it says."""
        out = StringIO()
        named = ["--id", node] if node else []
        call_command(
            "genesis", "recover", step, *words, *named, "--data-dir", str(self.data.root), stdout=out
        )
        return out.getvalue()

    def file(self, name: str) -> str:
        return str(self.root / name)

    def states(self, *vouchers: str) -> list[str]:
        """All tell; the files."""
        files = []
        for name in self.names:
            files.append(self.file(f"{name}.state"))
            self.run("state", *(["--vouch"] if name in vouchers else []), "--out", files[-1], node=name)
        return files

    def sign(self, name: str, *others: str) -> str:
        out = self.file(f"{name}.signed")
        shown = [self.file(f"{other}.signed") for other in others]
        self.run("sign", self.file("cup.plan"), *shown, "--out", out, node=name)
        return out

    def seal(self, *, vouchers: tuple[str, ...], late: tuple[str, ...] = ()) -> None:
        """Everything up to the sealed file; `late` are members whose log does not reach the plan."""
        self.run("plan", *self.states(*vouchers), "--out", self.file("cup.plan"))
        able = [name for name in self.names if name not in late]
        signed = [self.sign(name) for name in able] + [self.sign(name, *able) for name in late]
        self.run("seal", self.file("cup.plan"), *signed, "--out", self.file("cup.sealed"))

    def install(self, name: str) -> str:
        return self.run("install", self.file("cup.sealed"), node=name)


@pytest.fixture(scope="module")
def seven_admitted(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Steps:
    """Seven tickets are admitted above the stable checkpoint at 60; then r2's disk is gone and r3 is restored
    from a copy of that moment. r1 executed only two of them."""
    steps = Steps(tmp_path_factory.mktemp("seven") / "town", Town())
    steps.found()
    with django_db_blocker.unblock():
        _admit(steps)
    return steps


@pytest.fixture(scope="module")
def all_signed(
    seven_admitted: Steps, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Steps:
    """And all members signed where the epoch ends."""
    steps = seven_admitted.copied(tmp_path_factory.mktemp("signed") / "town")
    with django_db_blocker.unblock():
        steps.seal(vouchers=("r0", "r1"), late=("r2",))
    return steps


@pytest.fixture
def steps(seven_admitted: Steps, tmp_path: Path) -> Steps:
    return seven_admitted.copied(tmp_path / "town")


@pytest.fixture
def sealed(all_signed: Steps, tmp_path: Path) -> Steps:
    return all_signed.copied(tmp_path / "sealed")


def _admit(steps: Steps) -> None:
    with steps.running() as town:
        town.issue_and_fill(SEVEN)
    copy = steps.root / "copy"
    shutil.copytree(steps.data.node("r3").ledger, copy)
    with steps.running() as town:
        sequences = [town.admit(ticket) for ticket in SEVEN]
        town.execute(0, sequences)
        town.execute(1, sequences[:2])
    steps.lose("r2")
    shutil.rmtree(steps.data.node("r3").ledger)
    shutil.copytree(copy, steps.data.node("r3").ledger)


def replayed(steps: Steps, ledger: Ledger, name: str) -> tuple[Replica, TicketApplication]:
    """The core of the ledger's epoch as the node makes it."""
    membership = membership_of(ledger, steps.town.genesis)
    application = TicketApplication(steps.town.genesis, steps.town.cluster)
    keys = KeyRing(application, membership)
    signer = FrameSigner(steps.town.cluster, key_pair(name)[1], keys)
    config = configuration.build(steps.town.genesis, steps.town.cluster, name, membership)
    core = Replica(config, signer, application, ledger.voting, ())
    recovery = ledger.load()
    application.load(recovery.rows)
    core.restore(recovery, Now(1, 1))
    return core, application


def shown_again(log: PaperLog, application: TicketApplication, executor: Executor) -> list[str]:
    """Each of the seven tickets at the gate once more, in the epoch that goes on; the outcomes."""
    log.application, log.executor = application, executor
    scans = [log.operation(Admit(gate="south"), ticket, nonce=ticket.encode()) for ticket in SEVEN]
    until = executor.timestamp + VALID
    step = log.order([msgspec.structs.replace(scan, valid_until=until) for scan in scans])
    return [outcome.code for outcome in step.done()[0][1].outcomes]


def test_r11_seven_admissions_above_the_checkpoint_stay_admitted(sealed: Steps) -> None:
    old = {name: sealed.data.node(name).key.read_bytes() for name in sealed.names}
    for name in sealed.names:
        assert "goes on in epoch 1 after sequence 68" in sealed.install(name)
        key = sealed.data.node(name).key
        assert key.read_bytes() != old[name]
        assert not sealed.data.node(name).recovery_key.exists()
    for name in ("r0", "r1", "r3"):
        with sealed.ledger(name) as ledger:
            membership = membership_of(ledger, sealed.town.genesis)
            mine = public_key_of(read_seed(sealed.data.node(name).key))
            assert membership.members[int(name[1:])].public_key == mine
            core, application = replayed(sealed, ledger, name)
            assert (core.executed, core.log.stable, core.voting, core.views.view) == (68, 68, True, 0)
            log = PaperLog(4)
            log.steps = [*sealed.town.log.steps]
            log.session, log.number = sealed.town.log.session, sealed.town.log.number
            codes = shown_again(log, application, core.execution.executor)
            assert codes == ["already_consumed"] * 7, name


def test_r11_who_lost_its_disk_goes_on_and_waits_for_a_state(sealed: Steps) -> None:
    for name in sealed.names:
        sealed.install(name)
    with sealed.ledger("r2") as ledger:
        core, _application = replayed(sealed, ledger, "r2")
        assert core.voting
        assert not core.arrived
        assert core.transfer.wanted()
        assert core.transfer._base is not None
        assert core.transfer._base.sequence == 68


def test_r26_outcomes_are_proved_by_checkpoints_not_by_the_end_of_an_epoch(sealed: Steps) -> None:
    """What all members signed has another form; the next checkpoint covers the same log."""
    sealed.install("r0")
    with sealed.ledger("r0") as ledger:
        assert ledger.checkpoint_from(61) is not None
        assert lowest_checkpoint(ledger.alias, 61) is None
        found = lowest_checkpoint(ledger.alias, 60)
        assert found is not None
        assert found.sequence == 60


def test_r11_certificates_chain_across_a_recovery_in_all_verifiers(sealed: Steps) -> None:
    certificate = sealed.town.log.receipts(67)
    sealed.install("r1")
    with sealed.ledger("r1") as ledger:
        ended = handover.find(ledger.load().states, 0)
    assert ended is not None
    link = handover_certificate(ended.value, sealed.town.cluster)
    chain = canonical.encode(ChainFile(1, g.encode(sealed.town.genesis), (link,)))
    path = sealed.root / "epochs.json"
    path.write_bytes(chain_json(chain))
    ours, theirs = read_chain(chain), dtvn_verify.Chain(dtvn_verify.read(path, "chain"))
    assert [epoch.after for epoch in ours.epochs] == [after for _members, after in theirs.epochs] == [0, 68]
    said = verify(decode_certificate(certificate), ours).sentences()
    assert list(dtvn_verify.Proved(certificate, theirs).sentences()) == said
    frames = canonical.decode(handover.HandOver, ended.value).checkpoint
    assert read_stable(frames, ours).sequence == 68, "what a node shows of a state until its next checkpoint"
    with pytest.raises(ProofError):
        read_stable(frames[:3], ours)


# --- what is refused, and what may be done again -----------------------------------------------------


def test_r11_each_step_may_be_done_again_and_says_the_same(sealed: Steps) -> None:
    files = {path.name: path.read_bytes() for path in sealed.root.iterdir() if path.is_file()}
    sealed.seal(vouchers=("r0", "r1"), late=("r2",))
    assert {path.name: path.read_bytes() for path in sealed.root.iterdir() if path.is_file()} == files
    first = sealed.install("r0")
    assert sealed.install("r0") == first


@pytest.mark.parametrize("moment", ["key offered", "ledger written"])
def test_r11_a_crash_in_an_install_is_ended_by_the_next(
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
            patched.setattr("validators.node.epochs._replace", crash)
        with pytest.raises(KeyboardInterrupt):
            sealed.install("r0")
    assert sealed.data.node("r0").key.read_bytes() == old, "no vote under the new key yet"
    with sealed.ledger("r0") as ledger:
        membership = membership_of(ledger, sealed.town.genesis)
        assert membership.epoch == (moment == "ledger written")
        if not membership.epoch:
            with pytest.raises(StartError, match="genesis recover install"):
                check_promise(ledger, membership)
    sealed.install("r0")
    with sealed.ledger("r0") as ledger:
        mine = public_key_of(read_seed(sealed.data.node("r0").key))
        assert membership_of(ledger, sealed.town.genesis).members[0].public_key == mine
        assert replayed(sealed, ledger, "r0")[0].executed == 68


def test_r11_who_signed_votes_in_its_epoch_no_more(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    with steps.ledger("r0") as ledger:
        check_promise(ledger, membership_of(ledger, steps.town.genesis))
    steps.sign("r0")
    with steps.ledger("r0") as ledger, pytest.raises(StartError, match="votes in it no more"):
        check_promise(ledger, membership_of(ledger, steps.town.genesis))


def test_r11_a_second_end_of_one_epoch_is_not_signed(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    steps.sign("r0")
    steps.data.node("r1").recovery_key.unlink()
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    with pytest.raises(CommandError, match="r0 signed another end of epoch 0 before"):
        steps.sign("r0")
    steps.sign("r1")


def test_r11_a_node_that_ran_since_it_told_does_not_sign(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    with steps.running() as town:
        town.execute(1, [63])
    with pytest.raises(CommandError, match="The ledger of r1 is not as it was when it told its state"):
        steps.sign("r1")


def test_r11_who_cannot_execute_signs_only_what_f_plus_1_did_that_can(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    steps.sign("r0")
    with pytest.raises(CommandError, match="it signs what 2 of r0, r1, r3 signed"):
        steps.sign("r2")
    with pytest.raises(CommandError, match="it signs what 2 of r0, r1, r3 signed"):
        steps.sign("r2", "r0")
    steps.sign("r3")
    steps.sign("r2", "r0", "r3")


def test_r11_the_word_of_a_member_without_the_log_is_no_witness(steps: Steps) -> None:
    """r2 has no log: what it signed is another's word, and counts for nobody."""
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


def test_r11_a_ledger_that_does_not_come_to_the_signed_end_is_left_alone(
    sealed: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*given: Any) -> Ending:
        ending = reach(*given)
        end = msgspec.structs.replace(ending.continuation, state_root=bytes(32))
        return msgspec.structs.replace(ending, continuation=end)

    monkeypatch.setattr("validators.node.recovering.reach", damaged)
    with pytest.raises(CommandError, match="does not come to the end that all members signed"):
        sealed.install("r0")
    with sealed.ledger("r0") as ledger:
        assert membership_of(ledger, sealed.town.genesis).epoch == 0


def test_r11_a_sealed_file_holds_the_end_of_its_own_plan(sealed: Steps, steps: Steps) -> None:
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


def test_r11_the_node_of_who_signed_does_not_start(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    steps.sign("r0")
    with pytest.raises(StartError, match="votes in it no more"):
        build_node(steps.data.node("r0").root, logging.getLogger("test"), NodeOptions())


def test_r11_fewer_signatures_than_all_are_worth_nothing(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    signed = [steps.sign(name) for name in ("r0", "r1", "r3")]
    with pytest.raises(CommandError, match="r2 must still sign: all 4 signatures are needed"):
        steps.run("seal", steps.file("cup.plan"), *signed, "--out", steps.file("cup.sealed"))


def test_r11_different_ends_are_not_sealed(steps: Steps) -> None:
    """A member that executed something else, or lies: nobody goes on with it."""
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    signed = [steps.sign(name) for name in ("r0", "r1", "r3")]
    good = canonical.decode(SignedFile, Path(signed[2]).read_bytes())
    envelope = msgspec.msgpack.decode(good.frame)
    said = canonical.decode(m.Continuation, envelope[1])
    for lie in (
        msgspec.structs.replace(said, state_root=bytes(32)),
        msgspec.structs.replace(said, sequence=said.sequence + 1),
    ):
        frame = steps.town.say(lie)
        Path(signed[2]).write_bytes(canonical.encode(msgspec.structs.replace(good, frame=frame)))
        with pytest.raises(CommandError, match="signed different ends"):
            steps.sign("r2", "r0", "r3")
        steps.sign("r2", "r0", "r1")
        with pytest.raises(CommandError, match="signed different ends of the epoch"):
            steps.run(
                "seal",
                steps.file("cup.plan"),
                *signed,
                steps.file("r2.signed"),
                "--out",
                steps.file("cup.sealed"),
            )


def test_r11_who_signed_two_ends_is_convicted_by_them(steps: Steps) -> None:
    steps.run("plan", *steps.states("r0", "r1"), "--out", steps.file("cup.plan"))
    signed = steps.sign("r0")
    good = canonical.decode(SignedFile, Path(signed).read_bytes())
    said = canonical.decode(m.Continuation, msgspec.msgpack.decode(good.frame)[1])
    other = steps.town.say(msgspec.structs.replace(said, sequence=said.sequence - 1))
    second = Path(steps.file("r0.second"))
    second.write_bytes(canonical.encode(msgspec.structs.replace(good, frame=other)))
    with pytest.raises(
        CommandError, match=r"r0 signed two different ends of epoch 0\. .*cup.evidence convicts it"
    ):
        steps.run("seal", steps.file("cup.plan"), signed, str(second), "--out", steps.file("cup.sealed"))
    data = read_file(EVIDENCE, Path(steps.file("cup.evidence")))
    chain = read_chain(g.encode(steps.town.genesis))
    assert convict(data, chain).sentence() == "r0 is convicted: continuation, epoch 0, two ends of it"
    small = dtvn_verify.Chain(g.encode(steps.town.genesis))
    assert list(dtvn_verify_evidence.evidence(data, small)) == [convict(data, chain).sentence()]
    audit = Audit(chain)
    audit.add([good.frame, other])
    assert list(audit.culprits()) == ["r0"]


def test_r11_the_platform_is_told_the_new_keys_though_it_runs_no_node(sealed: Steps) -> None:
    sealed.data.learner_key.write_text("0" * 64)
    assert "know the members' new keys" in sealed.run("install", sealed.file("cup.sealed"))
    epochs = Epochs(sealed.town.genesis, known=read_handovers(sealed.data.handovers))
    assert (epochs.present.epoch, epochs.present.after) == (1, 68)
    told = canonical.decode(Membership, sealed.data.learner_sources.read_bytes())
    assert told == epochs.present
    assert other_sources(sealed.data.learner_sources, founding(sealed.town.genesis)) != ()


def test_r11_no_step_touches_the_ledger_of_a_running_node(steps: Steps) -> None:
    with steps.ledger("r0"), pytest.raises(CommandError, match="in use by another process"):
        steps.run("state", "--out", steps.file("r0.state"), node="r0")


@pytest.mark.parametrize(("node", "why"), [("r2", "was lost and is empty now"), ("r3", "holds .* turns of")])
def test_r11_the_flag_is_refused_where_the_ledger_knows_better(steps: Steps, node: str, why: str) -> None:
    if node == "r3":
        with steps.ledger("r3") as ledger:
            ledger.stop_voting("it holds 11 turns of 18")
    with pytest.raises(CommandError, match=f"{node} cannot vouch that its log is its newest one: .*{why}"):
        steps.run("state", "--vouch", "--out", steps.file("x.state"), node=node)
    assert not steps.data.node(node).recovery_key.exists()


def test_r11_an_old_key_that_is_gone_points_to_a_new_cluster(steps: Steps) -> None:
    steps.data.node("r1").key.write_text(sha256(b"another").hexdigest())
    with pytest.raises(CommandError, match="genesis continue"):
        steps.run("state", "--out", steps.file("x.state"), node="r1")


def test_a_file_of_another_kind_is_told_by_its_name(steps: Steps) -> None:
    files = steps.states("r0", "r1")
    with pytest.raises(CommandError, match=r"r0.state: it is no dtvn-recovery-plan-1"):
        steps.run("sign", files[0], "--out", steps.file("x"), node="r0")
    with pytest.raises(CommandError, match="r1 told its state twice"):
        steps.run("plan", *files, files[1], "--out", steps.file("x"))
