"""The guards that proofs rest on, tests that must notice a wrong one, and mutants that are no mistake."""

from __future__ import annotations

import faulthandler
import gc
import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from django.db import connections
from django.test.utils import setup_databases

from tests.mutation.planting import Mutant, Place, mutants_of

ROOT = Path(__file__).resolve().parents[2]
PLAIN = [
    *f"-q -c {os.devnull} --noconftest -p no:django -p no:xdist -p no:cacheprovider".split(),
    "--tb=no",
    "--hypothesis-seed=0",
    *("-o", "asyncio_default_fixture_loop_scope=function", "--rootdir", str(ROOT)),
]
"""Arguments of pytest: these tests need no Django, and are run inside a test themselves."""
WITH_DJANGO = [
    *("-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--tb=no", "--hypothesis-seed=0"),
    *("-m", "not exhaustive and not bench", "-k", "not postgresql", "--rootdir", str(ROOT)),
]
"""For tests that need Django: they make the test databases of a process of their own."""
IN_MEMORY = Path("/dev/shm")
"""Where these keep their files, if this machine has it: they are quick, and nothing of them needs to last."""
SECONDS_MAX = 20
"""Seconds of processor time: a mutant whose tests take more counts as caught, because it never ends."""
WAIT_MAX = 60
"""Seconds until one counts as caught that waits for ever without any work."""


class Subject(msgspec.Struct, frozen=True):
    """A module, and the test files that hold its guards."""

    tests: tuple[str, ...]
    functions: frozenset[str] = frozenset()
    """Only these; empty: all."""
    django: bool = False
    """Whether the tests need Django and its databases."""


SUBJECTS: dict[str, Subject] = {
    "dtvn.protocol.consensus.certificate": Subject(
        ("tests/consensus/test_certificates.py", "tests/consensus/test_new_view.py")
    ),
    "dtvn.protocol.consensus.new_view": Subject(("tests/consensus/test_new_view.py",)),
    "dtvn.protocol.consensus.restore": Subject(
        ("tests/consensus/test_restore.py",), frozenset({"_restore_slot", "_restore_view"})
    ),
    "dtvn.protocol.consensus.epoch_change_proof": Subject(("tests/consensus/test_epoch_change_proof.py",)),
    "dtvn.protocol.consensus.view_change": Subject(
        tuple(
            f"tests/consensus/test_{name}.py"
            for name in ("view_change_counts", "new_view", "view_refusals", "new_views_kept", "view_change")
        ),
        frozenset(
            f"ViewChanging.{name}"
            for name in (
                *("leave", "refuse_view_change", "on_view_change", "accept", "joined_view", "supporters"),
                *("_send_new_view_if_ready", "refuse_new_view", "on_new_view", "_try", "_find"),
            )
        ),
    ),
    "dtvn.protocol.consensus.transfer.entries": Subject(("tests/consensus/test_log_ranges.py",)),
    "dtvn.protocol.consensus.transfer.receiving": Subject(
        ("tests/consensus/test_offers.py", "tests/consensus/test_transfer_guards.py"),
        frozenset({"Receiving.refuse_snapshot", "Receiving.on_snapshot", "Receiving.refuse_groups"}),
    ),
    "dtvn.protocol.epochs.catch_up": Subject(("tests/epochs/test_epoch_catch_up_steps.py",)),
    "dtvn.protocol.epochs.proofs": Subject(("tests/epochs/test_proofs.py", "tests/gateway/test_epochs.py")),
    "dtvn.protocol.host.log_server": Subject(("tests/host/test_log_server.py", "tests/host/test_places.py")),
    "dtvn.gateway.agreement": Subject(("tests/gateway/test_agreement.py",)),
    "dtvn.gateway.collector": Subject(
        tuple(
            f"tests/gateway/test_{name}.py"
            for name in ("refusals", "collector_sessions", "epochs", "contradiction", "log_time", "collector")
        ),
        frozenset(
            f"Collector.{name}"
            for name in (
                *(
                    "_follow",
                    "_on_epoch_changes",
                    "_tell",
                    "rekey",
                    "receive",
                    "flies",
                    "_settle",
                    "_give_up",
                ),
                *("_on_reply", "_on_repeat", "_on_busy", "_is_expired", "_session_is_gone", "_is_too_large"),
                *("_refuse_unsent", "_contradicted"),
            )
        ),
    ),
    "dtvn.gateway.log_clock": Subject(("tests/gateway/test_log_time.py",)),
    "dtvn.gateway.answers": Subject(
        tuple(f"tests/gateway/test_{name}.py" for name in ("tally", "collector_liars", "answers", "log_time"))
    ),
    "dtvn.proof.epoch_chain": Subject(("tests/proof/test_epoch_chain.py", "tests/gateway/test_epochs.py")),
    "dtvn.proof.chain": Subject(
        ("tests/proof/test_epoch_chain.py",), frozenset({"extend_chain", "_check_members"})
    ),
    "dtvn.proof.verify": Subject(
        ("tests/proof/test_epoch_chain.py",), frozenset({"Chain.members", "Chain.pinned"})
    ),
    "dtvn.proof.barriers": Subject(("tests/proof/test_barriers.py",)),
    "dtvn.proof.reads": Subject(("tests/proof/test_reads.py",)),
    "dtvn.machine.nonces": Subject(("tests/tickets_machine/test_nonces.py",)),
    "dtvn.machine.operations": Subject(
        tuple(f"tests/tickets_machine/test_{name}.py" for name in ("nonces", "permissions", "doors")),
        frozenset({f"Operations.{name}" for name in ("apply", "first", "_repeat")}),
    ),
    "dtvn.machine.context": Subject(("tests/tickets_machine/test_nonces.py",), frozenset({"Context.stands"})),
    "dtvn.machine.kinds.lifecycle": Subject(("tests/tickets_machine/test_nonces.py",), frozenset({"late"})),
    "dtvn.machine.locks": Subject(("tests/tickets_machine/test_locks.py",)),
    "dtvn.machine.waiters": Subject(("tests/tickets_machine/test_locks.py",)),
    "tickets.importing.settled": Subject(
        ("tests/importing/test_settling.py",), frozenset({"settle"}), django=True
    ),
    "validators.services.login_throttle": Subject(("tests/platform/test_login_throttle.py",), django=True),
}
_OUTCOMES_MAX = "FRAMING + sum([_bytes_max(op, self._epoch) for op in operations])"
ONE_BY_ONE = "it grows by one, and is compared each time"
COSTS_ONLY = "the same is found with more work, or less"
LOG_SERVER = "dtvn.protocol.host.log_server.LogServer"
_FRESH_BYTES = "sum((len(record.body) for record in self._fresh.values()))"
_FRESH_COMMITS = "_commits(self._fresh.values())"
_ABOVE_RANGE = "checkpoint.sequence > records[-1].entry.sequence"

EQUIVALENT: dict[str, str] = {
    "dtvn.protocol.consensus.certificate.ends_log: len(peaks) != (entry.sequence - 1).bit_count() -> "
    "len(peaks) < (entry.sequence - 1).bit_count()": (
        "with a peak too many the entry lies deeper than the last one of a log can: another root"
    ),
    "dtvn.protocol.consensus.certificate.read_continuation: len(votes) != config.n -> "
    "len(votes) < config.n": ("there are no more than n distinct members"),
    "dtvn.protocol.consensus.restore._restore_view: record.view == entered -> record.view >= entered": (
        "a NEW-VIEW is kept together with the view that it begins"
    ),
    "dtvn.protocol.consensus.restore._restore_view: record.view == promised -> record.view >= promised": (
        "it is the highest of them"
    ),
    "dtvn.protocol.consensus.restore._restore_view: record.phase == 'view_change' -> True": (
        "in a view above the one entered last nothing else was said"
    ),
    "dtvn.protocol.consensus.restore._restore_slot: known.view < record.view -> known.view <= record.view": (
        "a ledger has one certificate for a sequence and view"
    ),
    "dtvn.protocol.consensus.restore._restore_slot: message.sender == core.state.index -> "
    "message.sender >= core.state.index": (
        "the PRE-PREPARE of another: in its view this member signs none that could be held against it"
    ),
    **dict.fromkeys(
        (
            "dtvn.protocol.epochs.catch_up.EpochCatchUp.begin: newest.epoch > self._present.epoch -> "
            "newest.epoch != self._present.epoch",
            "dtvn.protocol.epochs.catch_up.EpochCatchUp.hear: self._newest.epoch > self._present.epoch -> "
            "self._newest.epoch != self._present.epoch",
            "dtvn.protocol.epochs.catch_up.EpochCatchUp.arrived: newest.epoch == self._present.epoch -> "
            "newest.epoch <= self._present.epoch",
        ),
        "`begin` led at least to the present epoch, or raised",
    ),
    "dtvn.protocol.epochs.catch_up.EpochCatchUp.ask: executed != self._executed -> "
    "executed > self._executed": ("a core executes on, never back"),
    **dict.fromkeys(
        (
            f"dtvn.protocol.consensus.view_change.ViewChanging.leave: {guard} -> {wrong}"
            for guard, wrongs in (
                ("message.prepared", ("True", "False")),
                ("reason == FOLLOWED", ("True", "False", "reason <= FOLLOWED", "reason >= FOLLOWED")),
            )
            for wrong in wrongs
        ),
        "it marks a probe only",
    ),
    **dict.fromkeys(
        (
            "dtvn.protocol.consensus.view_change.ViewChanging.on_new_view: "
            "(reason := self.refuse_new_view(message)) is not None -> False",
            "dtvn.protocol.consensus.view_change.ViewChanging.on_view_change: "
            "(reason := self.refuse_view_change(message, verified.body_digest)) is not None -> False",
            "dtvn.protocol.consensus.view_change.ViewChanging.on_view_change: change.view > known.view -> "
            "change.view >= known.view",
        ),
        "what it refuses was refused before its signature was checked",
    ),
    "dtvn.protocol.consensus.view_change.ViewChanging.on_view_change: self.views.is_ahead(change.view) -> "
    "True": "nothing counts those of views that are over",
    "dtvn.protocol.consensus.view_change.ViewChanging.refuse_view_change: len(fetches) > 0 -> "
    "len(fetches) != 0": "a length is not negative",
    "dtvn.protocol.consensus.view_change.ViewChanging.refuse_view_change: message.view < known.view -> "
    "message.view != known.view": "a higher one was let in before",
    "dtvn.protocol.consensus.view_change.ViewChanging.refuse_view_change: message.view > known.view -> "
    "False": "a higher one is neither old nor known, and let in at the end",
    "dtvn.protocol.consensus.view_change.ViewChanging._send_new_view_if_ready: self.views.changing -> "
    "True": "a replica that entered a view has dropped the VIEW-CHANGEs for it",
    "dtvn.protocol.consensus.view_change.ViewChanging._send_new_view_if_ready: "
    "change.sender != state.index -> change.sender > state.index": (
        "f + 1 others at most came before the own one"
    ),
    "dtvn.protocol.consensus.view_change.ViewChanging._try: source is None -> False": (
        "members alone send a NEW-VIEW"
    ),
    "dtvn.protocol.consensus.transfer.entries.read_range: entry.sequence > expected -> "
    "entry.sequence != expected": "lower ones were passed over before",
    "dtvn.protocol.consensus.transfer.entries.read_range: entry.epoch != config.epoch -> "
    "entry.epoch > config.epoch": "COMMITs and certificates of an earlier epoch prove nothing",
    "dtvn.protocol.consensus.transfer.entries.read_range: commits -> True": ("no COMMITs are no certificate"),
    **dict.fromkeys(
        (
            "dtvn.protocol.consensus.transfer.entries._certified: "
            f"certificate.sequence != proved[-1].entry.sequence -> {wrong}"
            for wrong in (
                "False",
                "certificate.sequence < proved[-1].entry.sequence",
                "certificate.sequence > proved[-1].entry.sequence",
            )
        ),
        "the log root, which is compared next, is that of one sequence",
    ),
    "dtvn.gateway.collector.Collector._on_epoch_changes: following.epoch <= self._epoch -> "
    "following.epoch == self._epoch": "what is proved leads on, never back",
    **dict.fromkeys(
        (
            "dtvn.gateway.agreement._quorum: agreeing == 1 -> agreeing <= 1",
            "dtvn.gateway.agreement._withheld: more > 0 -> more != 0",
            "dtvn.gateway.agreement._entering: each.entering > 0 -> each.entering != 0",
            "dtvn.gateway.agreement._no_quorum: short == stages[0] -> short >= stages[0]",
            "dtvn.gateway.agreement._number: value >= 0 -> value > 0",
        ),
        "no such number comes here, or it says the same",
    ),
    **dict.fromkeys(
        (
            "validators.services.login_throttle.begin: known is not None -> False",
            "validators.services.login_throttle.begin: made -> True",
        ),
        COSTS_ONLY,
    ),
    **dict.fromkeys(
        (
            "validators.services.login_throttle.begin: row.since <= now - WINDOW -> row.since < now - WINDOW",
            "validators.services.login_throttle._require_room: now < ends -> now <= ends",
        ),
        "a microsecond of five minutes",
    ),
    "validators.services.login_throttle.LoginThrottled.__init__: minutes > 1 -> minutes != 1": (
        "it is one at least"
    ),
    **dict.fromkeys(
        (f"validators.services.login_throttle.client_address: '' -> {wrong}" for wrong in (True, False)),
        "neither is an address",
    ),
    "validators.services.login_throttle._require_room: row.tries >= TRIES_MAX -> row.tries == TRIES_MAX": (
        ONE_BY_ONE
    ),
    **dict.fromkeys(
        (
            f"dtvn.protocol.consensus.transfer.receiving.Receiving.{change}"
            for change in (
                "refuse_snapshot: member is None -> False",
                "on_snapshot: member is None -> False",
                "on_snapshot: member is None -> True",
                "refuse_groups: member is not None -> True",
            )
        ),
        "only members' messages come this far, and None is no source",
    ),
    **dict.fromkeys(
        (
            "dtvn.protocol.consensus.transfer.receiving.Receiving.on_snapshot: reason -> False",
            "dtvn.protocol.consensus.transfer.receiving.Receiving.on_snapshot: Reason.NOT_ASKED -> True",
            "dtvn.protocol.consensus.transfer.receiving.Receiving.on_snapshot: Reason.NOT_ASKED -> False",
        ),
        "there is no other reason",
    ),
    "dtvn.protocol.consensus.transfer.receiving.Receiving.on_snapshot: certificate is None -> False": (
        "without a certificate there is no place for a state"
    ),
    "dtvn.protocol.consensus.transfer.receiving.Receiving.on_snapshot: len(self._offers) + len(self._banned) "
    ">= len(self._peers()) -> len(self._offers) + len(self._banned) == len(self._peers())": ONE_BY_ONE,
    "dtvn.gateway.collector.Collector.flies: self._flights.flying > 0 -> self._flights.flying != 0": (
        "a number of flights is not negative"
    ),
    "dtvn.gateway.collector.Collector.rekey: flight.left -> False": "all of its parts have moved already",
    "dtvn.gateway.collector.Collector._is_expired: flight.tally.hinting(Reason.EXPIRED) >= self._honest -> "
    "flight.tally.hinting(Reason.EXPIRED) == self._honest": "members say so one after another",
    "dtvn.gateway.collector.Collector._settle: flight.session != m.UNOPENED -> flight.session > m.UNOPENED": (
        "no key of a session is lower"
    ),
    "dtvn.gateway.collector.Collector._is_too_large: count > 1 -> count != 1": "a bundle has operations",
    "dtvn.proof.chain._check_members: len(keys) == len(names) == len(members) -> "
    "len(keys) >= len(names) == len(members)": "members have no more keys than they are",
    "dtvn.proof.chain._check_members: len(keys) == len(names) == len(members) -> "
    "len(keys) == len(names) >= len(members)": "members have no more names than they are",
    "dtvn.proof.verify.Chain.members: epoch + 1 < len(self.epochs) -> epoch + 1 != len(self.epochs)": (
        "an epoch beyond the chain was refused before"
    ),
    "dtvn.proof.barriers._pass_checkpoint: ordered < most -> ordered != most": (
        "it grows by one, from 0 to what is left of an interval"
    ),
    "dtvn.protocol.consensus.new_view.plan: (found.view, found.digest) > (known.view, known.digest) -> "
    "(found.view, found.digest) >= (known.view, known.digest)": (
        "of two certificates for one digest in one view either may be chosen: a plan names the digest"
    ),
    "dtvn.proof.epoch_chain._extended: isinstance(command, Reconfigure) -> True": (
        "`extend_chain` let through an operation of this kind only, and `read` makes a Reconfigure of it"
    ),
    "dtvn.proof.chain.extend_chain: (proved.kind, proved.code, proved.epoch, proved.checkpoint) != "
    "(kind, 'ok', ending, checkpoint) -> (proved.kind, proved.code, proved.checkpoint) != "
    "(kind, 'ok', checkpoint)": (
        "its checkpoint is of the ending epoch at its own sequence, and a sequence is in one epoch only; and "
        "the end that all members signed begins the epoch after its own, whose number is compared below"
    ),
    "dtvn.machine.nonces.NonceTable._keep: keep_until <= self._keep_until[sequence] -> "
    "keep_until < self._keep_until[sequence]": "an equal time is written once more",
    "dtvn.machine.operations.Operations.apply: nonce -> True": (
        "saves a hash: nothing is remembered under an empty nonce"
    ),
    "dtvn.machine.context.Context.stands: _HEADERS[len(nonce)] + nonce not in ticket.state -> "
    "False": "saves decoding the state, which is compared afterwards",
    **dict.fromkeys(
        (
            "dtvn.machine.locks.Locks.lock: len(self._rows) >= LOCKS_MAX -> len(self._rows) == LOCKS_MAX",
            "dtvn.machine.waiters.Waiters.has_room: len(self._queues.get(lock, ())) < QUEUE_MAX -> "
            "len(self._queues.get(lock, ())) != QUEUE_MAX",
            "dtvn.machine.waiters.Waiters.has_room: len(self._rows) < WAITERS_MAX -> "
            "len(self._rows) != WAITERS_MAX",
        ),
        ONE_BY_ONE,
    ),
    **dict.fromkeys(
        (
            f"dtvn.gateway.answers.{function}: {left} >= {most} -> {left} == {most}"
            for function, left, most in (
                ("Verifier.receipt", "len(self._receipts)", "CACHED_RECEIPTS_MAX"),
                ("Tally.reply", "len(candidate.receipts)", "self._needed"),
                ("Tally.reply", "len(signers)", "self._needed"),
                ("Tally._agree_on_codes", "len(supporters)", "self._needed"),
            )
        ),
        ONE_BY_ONE,
    ),
    **dict.fromkeys(
        (
            "dtvn.gateway.answers.Tally.reply: len(candidate.receipts) >= self._needed -> True",
            "dtvn.gateway.answers.Tally.reply: self._repeats -> True",
            "dtvn.gateway.answers.Verifier.entry: self._last_entry is not None -> False",
            "dtvn.gateway.answers.Verifier.entry: self._last_entry[0] == data -> False",
        ),
        COSTS_ONLY,
    ),
    **dict.fromkeys(
        (
            "dtvn.gateway.answers.Tally.reply: len(head.receipt) <= RECEIPT_BYTES_MAX -> "
            "len(head.receipt) < RECEIPT_BYTES_MAX",
            f"dtvn.gateway.answers.Verifier.outcomes: len(bytes(head.outcomes)) > {_OUTCOMES_MAX} -> "
            f"len(bytes(head.outcomes)) >= {_OUTCOMES_MAX}",
        ),
        "nothing honest comes near this bound of bytes",
    ),
    **dict.fromkeys(
        (
            f"{heap} > 2 * {most} -> {wrong}"
            for heap, most in (
                ("dtvn.machine.locks.Locks._put: len(self._ending)", "LOCKS_MAX"),
                ("dtvn.machine.waiters.Waiters._add: len(self._deadlines)", "WAITERS_MAX"),
            )
            for wrong in ("True", *(f"{heap.split(': ')[1]} {slip} 2 * {most}" for slip in (">=", "!=")))
        ),
        COSTS_ONLY,
    ),
    **dict.fromkeys(
        (
            "dtvn.machine.locks.Locks._is_current: row.ends == ends -> row.ends <= ends",
            "dtvn.machine.waiters.Waiters._is_current: row.until == until -> row.until <= until",
        ),
        "an earlier end stands before it in the heap, and was handled",
    ),
    "dtvn.proof.reads.show: proof is None -> False": "a proof without its certificate was refused before",
    **dict.fromkeys(
        (
            f"{LOG_SERVER}.{change}"
            for change in (
                "on_entry: self._subscribers -> True",
                "push: self._wanted -> True",
                "push: self._fresh -> True",
                "push: self._stable is None -> False",
                "push: self._behind -> True",
                f"push: {_FRESH_BYTES} <= RANGE_BYTES_MAX -> {_FRESH_BYTES} < RANGE_BYTES_MAX",
                f"push: {_FRESH_COMMITS} <= COMMITS_MAX -> {_FRESH_COMMITS} < COMMITS_MAX",
                *(
                    f"_send_range: {_ABOVE_RANGE} -> {wrong}"
                    for wrong in ("True", *(_ABOVE_RANGE.replace(">", slip) for slip in (">=", "!=")))
                ),
            )
        ),
        COSTS_ONLY,
    ),
    **dict.fromkeys(
        (
            f"{LOG_SERVER}._send_range: _commits(records) > COMMITS_MAX -> {wrong}"
            for wrong in (
                "True",
                "_commits(records) >= COMMITS_MAX",
                "_commits(records) != COMMITS_MAX",
            )
        ),
        "the certificate of the range proves these entries as well",
    ),
    **dict.fromkeys(
        (
            f"{LOG_SERVER}.on_lagging: checkpoint.sequence == sequence -> checkpoint.sequence <= sequence",
            f"{LOG_SERVER}._send_range: checkpoint.sequence == first -> checkpoint.sequence <= first",
            f"{LOG_SERVER}._send_range: records[-1].entry.sequence < checkpoint.sequence -> "
            "records[-1].entry.sequence != checkpoint.sequence",
            f"{LOG_SERVER}._send_range: r.entry.epoch == records[0].entry.epoch -> "
            "r.entry.epoch <= records[0].entry.epoch",
            f"{LOG_SERVER}._send_range: first == last -> first >= last",
            f"{LOG_SERVER}._advance: s in self._fresh -> True",
        ),
        "sequences and epochs of a log, and what is asked of it, only rise",
    ),
    f"{LOG_SERVER}._forget_expired: f.until < now.monotonic -> f.until <= now.monotonic": (
        "a nanosecond of three seconds"
    ),
    **dict.fromkeys(
        (
            f"{LOG_SERVER}._may_read: self._ranges > 0 -> self._ranges != 0",
            *(
                f"dtvn.protocol.host.log_server.{guard} -> {wrong}"
                for guard, wrong in (
                    ("_has_room: share < CONNECTIONS_MAX", "share != CONNECTIONS_MAX"),
                    ("_has_room: len(table) < size", "len(table) != size"),
                    ("_is_due: same >= REQUESTS_MAX // 2", "same == REQUESTS_MAX // 2"),
                    ("_is_due: len(table) >= REQUESTS_MAX", "len(table) == REQUESTS_MAX"),
                )
            ),
        ),
        ONE_BY_ONE,
    ),
}
"""Mutant.name -> why it is no mistake."""


class Hunt:
    """A pytest plugin that runs a subject's tests once for each of its mutants with `part` in their names,
    each time in a child process and until one fails."""

    def __init__(self, module: str, part: str) -> None:
        self.surviving: list[Place] = []
        self._module, self._part = module, part
        self._databases: dict[Path, bytes] = {}

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Children find the test databases."""
        if SUBJECTS[self._module].django:
            session.config.pluginmanager.register(_Databases())

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of pytest's own."""
        subject = SUBJECTS[self._module]
        found = mutants_of(self._module, subject.functions)
        mutants = [mutant for mutant in found if self._part in mutant.name]
        if subject.django:
            self._databases = _make_databases(session)
        gc.freeze()  # pages that no child's collector touches are not copied
        if mutants and self._fails(session, None):
            raise pytest.UsageError("the tests fail without a mutant")
        self.surviving += [mutant.place for mutant in mutants if not self._fails(session, mutant)]
        return True

    def _fails(self, session: pytest.Session, mutant: Mutant | None) -> bool:
        for file, content in self._databases.items():  # as the child before found them
            file.write_bytes(content)
            for kept in file.parent.glob(f"{file.name}-*"):
                kept.unlink()
        return _fails(session, mutant)


def hunt(module: str, part: str = "") -> list[Place]:
    """The mutants of a subject, of those whose name has `part`, that its tests do not notice."""
    if not SUBJECTS[module].django:
        return hunt_here(module, part)
    command = [sys.executable, "-m", "tests.mutation.apart", module, part]
    folder = {"TMPDIR": str(IN_MEMORY)} if IN_MEMORY.is_dir() else {}
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | folder, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RuntimeError(ended.stdout + ended.stderr)
    return msgspec.json.decode(ended.stdout.splitlines()[-1], type=list[Place])


def hunt_here(module: str, part: str) -> list[Place]:
    """`hunt` in this process, whose test databases it uses."""
    subject = SUBJECTS[module]
    found = Hunt(module, part)
    words = io.StringIO()
    tests = [str(ROOT / path) for path in subject.tests]
    with redirect_stdout(words):
        ended = pytest.main([*(WITH_DJANGO if subject.django else PLAIN), *tests], plugins=[found])
    if ended not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(words.getvalue())
    return found.surviving


class _Databases:
    """A pytest plugin in place of pytest-django's fixture, which would make the databases in each child."""

    @pytest.fixture(scope="session")
    @classmethod
    def django_db_setup(cls) -> None:
        """They are there."""


def _make_databases(session: pytest.Session) -> dict[Path, bytes]:
    """Make the test databases of this process, and read them. Their connections are closed: no child goes on
    with one of this process."""
    from pytest_django.plugin import blocking_manager_key  # imported before, it would not be rewritten

    with session.config.stash[blocking_manager_key].unblock():
        setup_databases(verbosity=0, interactive=False)
    connections.close_all()
    files = {Path(connections[alias].settings_dict["NAME"]) for alias in connections}
    return {file: file.read_bytes() for file in files if file.exists()}


def _fails(session: pytest.Session, mutant: Mutant | None) -> bool:
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] != 0
    try:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, SECONDS_MAX)
        faulthandler.dump_traceback_later(WAIT_MAX, exit=True, file=2)
        if mutant is not None:
            mutant.plant()
        for item, following in pairwise([*session.items, *session.items[-1:]]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                break
    finally:
        os._exit(int(session.testsfailed > 0 or not session.items))
