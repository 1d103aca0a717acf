"""The life of a node process: its start, its main loop, and its end with an exit code.

Exit codes: 0 asked to stop; 1 it could not start or go on (the log's last line says why); 3 another
process owns the ledger now (R10); 4 its ledger's server or folder cannot be reached.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from dtvn.ledger import FindLedger, LedgerBusy, LedgerError, LedgerUnreachable, OpenLedger
from dtvn.net import KeyFileError
from dtvn.node.api_start import start_api
from dtvn.node.build import build_node
from dtvn.node.carried import Carried
from dtvn.node.garbage import BetweenTurns
from dtvn.node.heart import Beat, Heart
from dtvn.node.kept_ports import kept_api, kept_metrics
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.ledger_place import place_ledger
from dtvn.node.listening import raise_file_limit
from dtvn.node.logs import node_logger
from dtvn.node.options import NodeOptions, StartError
from dtvn.node.process import Process
from dtvn.node.via_start import begin_via
from dtvn.node.watcher import line
from dtvn.protocol.consensus import InvariantBreach
from dtvn.protocol.consensus.effects import Successor
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.host import INBOUND_MAX, EpochOver, Halted, Installed, TurnLost
from dtvn.protocol.host.ports import JournalError, JournalFenced, JournalFull
from dtvn.waiting import try_until

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_FENCED = 3
EXIT_UNREACHABLE = 4

FILES_WANTED = 65_536
"""File descriptors that a node asks for: its member port bounds no connections."""

LOOK_NS = 200_000_000
"""Nanoseconds between two looks at what does not wake the loop: `should_stop`, and scrapes that wait."""

FREE_PAUSE = 0.05
"""Seconds between two attempts to open a ledger that another process holds."""

DISK_RETRY_NS = 1_000_000_000
"""Nanoseconds between two reports of a process that only reports, and before it looks for room on its
disk."""

REBUILDS_MAX = 3
REBUILDS_WINDOW_NS = 60_000_000_000
"""A step that raises loses the turn, and the core is rebuilt (R8); more than REBUILDS_MAX in a minute
end the process, because then the fault is in durable data or in the program."""

CHECK_NS = 100_000_000
"""Nanoseconds between two checks of a few older entries of the ledger, until all are checked."""

HAND_OVER_NS = 3_000_000_000
"""Longest time for which a leader that is asked to stop goes on until another member leads."""

MAINTAIN_NS = 2_000_000_000
"""Nanoseconds between two runs of the database's own maintenance, when idle (R25)."""


def run_node(
    node_directory: Path,
    should_stop: Callable[[], bool],
    beat: Beat | None = None,
    *,
    open_ledger: OpenLedger,
    find_ledger: FindLedger,
    options: NodeOptions | None = None,
    garbage: BetweenTurns | None = None,
) -> int:
    """Run the node in `node_directory` until `should_stop()`; return an exit code (see above).

    `open_ledger` opens the ledger and `find_ledger` finds it (`validators.ledger`). `should_stop` is called
    at every turn and must be cheap. `beat` receives the node's brief status at most once a second, from this
    thread, also while the disk is full or a large state is written. `garbage`: from a program that is
    this node and nothing else.
    """
    raise_file_limit(FILES_WANTED)
    logger = node_logger(node_directory)

    if options is not None and options.is_book:
        return _keep_addresses(node_directory, options, should_stop, beat, logger)
    folder = NodeFolder(node_directory)
    try:
        chosen = options or NodeOptions(
            splice=os.environ.get("DTVN_NETWORK_VIA", ""),
            platform_url=os.environ.get("DATABASE_URL", ""),
            metrics=kept_metrics(folder),
            api=kept_api(folder, os.environ.get("DTVN_API_KEY", "")),
        )
        chosen = place_ledger(folder, chosen, find_ledger, logger)
        via = begin_via(folder.key, folder.via, chosen.splice, logger)
    except (StartError, LedgerError) as error:
        return _cannot_start(error, logger)
    chosen = msgspec.structs.replace(chosen, via=via)
    try:
        return _run_chosen(folder, should_stop, beat, open_ledger, chosen, logger, garbage)
    finally:
        if via is not None:
            via.close()


def _run_chosen(
    folder: NodeFolder,
    should_stop: Callable[[], bool],
    beat: Beat | None,
    open_ledger: OpenLedger,
    chosen: NodeOptions,
    logger: logging.Logger,
    garbage: BetweenTurns | None,
) -> int:
    """Run the node with these options; see `run_node`."""
    try:
        api = start_api(folder, chosen, logger)
    except StartError as error:
        return _cannot_start(error, logger)

    def build(inherited: tuple[VerifiedBundle, ...], carried: Carried | None) -> Process:
        nonlocal chosen
        process = _once_free(
            lambda: build_node(folder.root, logger, chosen, open_ledger, inherited, api, carried),
            chosen.ledger_patience,
            should_stop,
        )
        chosen = msgspec.structs.replace(chosen, others_are_gone=False)  # it holds for one start
        return process

    if api is None:
        return _live(build, should_stop, beat, logger, garbage)

    def beat_with_api(report: Mapping[str, Any]) -> None:
        if beat is not None:
            beat({**report, "api_error": api.trouble})

    try:
        return _live(build, lambda: should_stop() and api.drained(), beat_with_api, logger, garbage)
    finally:
        api.close()


def _keep_addresses(
    root: Path,
    options: NodeOptions,
    should_stop: Callable[[], bool],
    beat: Beat | None,
    logger: logging.Logger,
) -> int:
    """Run a node that is no member and keeps addresses only; its exit code."""
    from dtvn.node.book_node import run_book  # a member needs nothing of it

    try:
        run_book(root, options, should_stop, beat, logger)
    except (StartError, KeyFileError) as error:
        return _cannot_start(error, logger)
    return EXIT_STOPPED


def _cannot_start(error: Exception, logger: logging.Logger) -> int:
    """Log why; the exit code."""
    logger.error("%s", line("cannot_start", {"reason": str(error)}))
    if isinstance(error, LedgerUnreachable | JournalFull):  # it is tried again, without being counted
        return EXIT_UNREACHABLE
    return EXIT_FENCED if isinstance(error, LedgerBusy) else EXIT_FAILED


def run_learner(
    data_dir: Path,
    should_stop: Callable[[], bool],
    beat: Beat | None = None,
    *,
    open_ledger: OpenLedger,
    garbage: BetweenTurns | None = None,
) -> int:
    """Run the learner of the cluster in `data_dir` until `should_stop()`; exit codes as `run_node`. It
    announces its rows to the platform's feed; its ledger's database: `DATABASE_URL` in the environment."""
    from dtvn.node.learner import build_learner  # a node needs nothing of the learner's

    logger = node_logger(data_dir / "learner")
    url = os.environ.get("DATABASE_URL", "")
    return _live(
        lambda _, carried: build_learner(data_dir, logger, url, open_ledger, carried),
        should_stop,
        beat,
        logger,
        garbage,
    )


def run_follower(
    data_dir: Path,
    should_stop: Callable[[], bool],
    beat: Beat | None = None,
    *,
    open_ledger: OpenLedger,
    pages: bool = True,
    garbage: BetweenTurns | None = None,
) -> int:
    """Run the follower of a data folder until `should_stop()`; exit codes as `run_node`. `pages`: a web
    process shows its rows, and hears of them by its feed."""
    from dtvn.node.follower import build_follower, follower_options  # a node needs nothing of it

    logger, folder = node_logger(data_dir / "learner"), ClusterFolder(data_dir)
    try:
        options = msgspec.structs.replace(follower_options(data_dir), pages=pages)
        via = begin_via(folder.follower_key, folder.follower_via, options.splice, logger)
    except StartError as error:
        return _cannot_start(error, logger)
    if via is not None:
        options = msgspec.structs.replace(options, via=via, listen=via.address)
    raise_file_limit(FILES_WANTED)
    try:
        return _live(
            lambda _, carried: build_follower(data_dir, options, logger, open_ledger, carried),
            should_stop,
            beat,
            logger,
            garbage,
        )
    finally:
        if via is not None:
            via.close()


class ToldToStop(Exception):
    """The process was asked to stop while it waited for its ledger."""


def _once_free(build: Callable[[], Process], patience: int, should_stop: Callable[[], bool]) -> Process:
    """Build the process, and retry for `patience` nanoseconds while another process holds the ledger. Raises
    LedgerBusy after that, ToldToStop if asked to stop meanwhile."""

    def again(error: Exception) -> bool:
        if isinstance(error, LedgerBusy) and should_stop():
            raise ToldToStop from None
        return isinstance(error, LedgerBusy)

    return try_until(build, patience / 1e9, pause=FREE_PAUSE, again=again)


def _live(
    build: Callable[[tuple[VerifiedBundle, ...], Carried | None], Process],
    should_stop: Callable[[], bool],
    beat: Beat | None,
    logger: logging.Logger,
    garbage: BetweenTurns | None = None,
) -> int:
    """Run one process after the other, one for each epoch (R35), which takes over what the one before leaves;
    return the last one's exit code."""
    inherited: tuple[VerifiedBundle, ...] = ()
    carried: Carried | None = None
    heart = Heart(beat)
    while True:
        try:
            process = _next(build, inherited, carried)
        except ToldToStop:
            logger.info("%s", line("stopped", {"reason": "before its ledger was free"}))
            return EXIT_STOPPED
        except (StartError, LedgerError, KeyFileError, JournalError) as error:
            return _cannot_start(error, logger)
        loop = Loop(process, should_stop, heart, carried=carried is not None, garbage=garbage)
        try:
            code = loop.run()
        finally:
            if loop.successor is None:
                _close(process, logger)
        if loop.successor is None:
            return code
        inherited, carried = loop.successor.bundles, process.hand_over()


def _next(
    build: Callable[[tuple[VerifiedBundle, ...], Carried | None], Process],
    inherited: tuple[VerifiedBundle, ...],
    carried: Carried | None,
) -> Process:
    """Build the next process; if that fails, close what was carried to it."""
    try:
        return build(inherited, carried)
    except BaseException:
        if carried is not None:
            carried.close()
        raise


def _close(process: Process, logger: logging.Logger) -> None:
    try:
        process.close()
    except TurnLost as lost:
        # Rows are rebuilt from the log at the next start (R9): a late end, not a loss.
        logger.warning("%s", line("rows_not_written", {"reason": str(lost.__cause__ or lost)}))


class Loop:
    """The main loop of one process. `carried`: it goes on with the state of the epoch before."""

    def __init__(
        self,
        process: Process,
        should_stop: Callable[[], bool],
        heart: Heart,
        *,
        carried: bool = False,
        garbage: BetweenTurns | None = None,
    ) -> None:
        self._process = process
        self._carried = carried
        self._should_stop = should_stop
        self._heart = heart
        self._garbage = garbage
        process.journal.alive = heart.alive
        self._maintained = 0
        self._checked = 0
        self._rebuilds: list[int] = []
        self._lost = False
        """Whether the core is dead: another one is built before the next turn."""
        self.successor: Successor | None = None
        """Set when the epoch is over: a process of the next epoch takes over."""

    def run(self) -> int:
        """Turn until asked to stop or until the process cannot go on; return the exit code."""
        process, garbage = self._process, self._garbage
        try:
            if garbage is not None:
                garbage.begin(carried=self._carried)
            self._start()
            if garbage is not None:
                garbage.started(carried=self._carried)
            if self.successor is None:
                process.introduce()
            while self.successor is None and not self._should_stop():
                try:
                    if self._lost:
                        self._rebuild()
                    self._turn()
                except (TurnLost, JournalFull) as lost:
                    self._recover(lost)
            self._hand_over()
            if self.successor is None:
                process.logger.info("%s", line("stopped", {"sequence": process.executed}))
        except (TurnLost, JournalError) as error:
            return self._failed(error)
        finally:
            if garbage is not None:
                garbage.end()
        return EXIT_STOPPED

    def _hand_over(self) -> None:
        """A leader that stops hands over first, while enough others are there to take over (R29, R44)."""
        if self.successor is not None or self._lost:
            return
        process, until = self._process, time.monotonic_ns() + HAND_OVER_NS
        try:
            if not (process.may_hand_over() and process.host.resign()):
                return
            while not process.host.core.settled and process.may_hand_over():
                if time.monotonic_ns() > until:
                    break
                self._turn()
        except (TurnLost, JournalFull) as lost:
            cause = lost.__cause__ or lost
            process.logger.warning("%s", line("not_handed_over", {"reason": str(cause)}))

    def _start(self) -> None:
        try:
            self._process.start()
        except TurnLost as lost:
            if not isinstance(lost.__cause__, EpochOver | Halted | JournalError):
                raise
            self._recover(lost)

    def _rebuild(self) -> None:
        self._process.restart()
        self._lost = False
        self._process.logger.warning("%s", line("rebuilt", {"sequence": self._process.executed}))

    def _turn(self) -> None:
        process = self._process
        now = time.monotonic_ns()
        wake_at = process.host.wake_at()
        pause = LOOK_NS if wake_at is None else min(LOOK_NS, wake_at - now)
        if pause > 0:
            process.links.wait(pause)
        taken = process.host.turn()
        process.give_way()
        if self._heart.is_due(now):
            process.publish()
            self._heart.tell(process.brief(), now)
        else:
            process.refresh()
        if taken < INBOUND_MAX:
            self._tidy(now, idle=not taken)

    def _tidy(self, now: int, *, idle: bool) -> None:
        """Collect garbage and maintain the ledger, preferably when idle; check a little of it."""
        if self._garbage is not None:
            self._garbage.tidy(now, idle=idle)
        if idle and now - self._maintained > MAINTAIN_NS:
            self._maintained = now
            self._process.ledger.maintain()
        if now - self._checked > CHECK_NS:
            self._checked = now
            self._process.ledger.check_older()

    def _recover(self, lost: TurnLost | JournalFull) -> None:
        """After a lost turn, start or rebuild, wait for room on the disk; the core is built anew next, unless
        the epoch is over. Re-raise if that cannot help. JournalFull: the ledger could not be read."""
        cause = lost.__cause__ if isinstance(lost, TurnLost) else lost
        if isinstance(cause, EpochOver):
            self.successor = cause.successor
            following = cause.successor.membership
            fields = {"epoch": following.epoch, "after": following.after, "members": len(following.members)}
            self._process.logger.warning("%s", line("epoch", fields))
            return
        if isinstance(cause, Installed):
            self._process.logger.warning("%s", line("installed", {"sequence": cause.args[0]}))
        elif isinstance(cause, Halted):
            self._stand(cause)
        elif isinstance(cause, JournalFull):
            self._wait_for_room(cause)
        elif isinstance(cause, JournalError):
            raise cause
        else:
            self._process.logger.error("%s", line("turn_lost", {"reason": str(lost)}), exc_info=cause)
            now = time.monotonic_ns()
            self._rebuilds = [at for at in self._rebuilds if now - at < REBUILDS_WINDOW_NS] + [now]
            if len(self._rebuilds) > REBUILDS_MAX or isinstance(cause, InvariantBreach):
                raise lost
        self._lost = True

    def _stand(self, halted: Halted) -> None:
        """Take no further turn, because certificates exclude each other (R24): report that to peers and
        operators until asked to stop. The next start does the same."""
        process = self._process
        process.halted = str(halted)
        process.logger.critical("%s", line("contradiction", {"reason": process.halted}))
        self._only_report(lambda: False)

    def _wait_for_room(self, cause: JournalFull) -> None:
        """Log that the disk is full, report it to peers and operators that ask, keep sending heartbeats, and
        return when there is room again (R8)."""
        process = self._process
        process.disk_full = True
        process.logger.critical("%s", line("disk_full", {"reason": str(cause)}))
        self._only_report(process.ledger.takes_writes)
        process.disk_full = False

    def _only_report(self, over: Callable[[], bool]) -> None:
        """Take no turn: publish the status and send a heartbeat once a second, until `over()` is true, asked
        after each report but the first, or until the process is asked to stop."""
        process, begun, told_at = self._process, time.monotonic_ns(), 0
        while not self._should_stop():
            now = time.monotonic_ns()
            if now - told_at < DISK_RETRY_NS:
                process.refresh()
            else:
                told_at = now
                process.publish()
                self._heart.tell(process.brief(), now)
                if now - begun >= DISK_RETRY_NS and over():
                    return
            process.links.wait(LOOK_NS)
            process.host.stand_by()

    def _failed(self, error: Exception) -> int:
        """Log the last line of this process, with a traceback if the program is at fault; return the exit
        code."""
        fenced = isinstance(error, JournalFenced)
        expected = isinstance(error, JournalError)
        text = str(error) if expected or error.__cause__ is None else f"{error}: {error.__cause__}"
        event = "fenced" if fenced else "failed"
        self._process.logger.critical("%s", line(event, {"reason": text}), exc_info=not expected)
        return EXIT_FENCED if fenced else EXIT_FAILED
