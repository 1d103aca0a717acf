"""Computes the log from the statements of all members (R11): the plan of a new view, made by `new_view.plan`.

An entry that any member executed, with q COMMITs, is final. Above the highest stable checkpoint, a sequence
that no member executed holds the batch that was prepared in the highest view, or the null request. So
acknowledged operations stay: they were committed, hence prepared durably by q members, and at least one of
any n - q + 1 members with their newest logs holds them. That is why at least n - q + 1 members must vouch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from dtvn.protocol.consensus import new_view
from dtvn.protocol.consensus.messages import (
    NULL_BATCH_DIGEST,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
)
from dtvn.protocol.quorum import Mode
from dtvn.recovery.forms import CONTINUE, LogsBehind, RecoveryError
from dtvn.recovery.reading import Reading, Told

PHASES = {PrePrepare: "pre_prepare", Prepare: "prepare", Commit: "commit"}


class Slot(msgspec.Struct, frozen=True):
    """The decided batch of one sequence."""

    sequence: int
    digest: bytes
    bodies: tuple[bytes, ...]
    """The batch in the versions that members sent: the digest is the same, the bytes of clients' signatures
    may differ."""
    commits: tuple[bytes, ...]
    """q COMMIT frames if a member executed it, else ()."""


class Plan(msgspec.Struct, frozen=True):
    """The end of the epoch, without the operation `recover` itself."""

    reading: Reading
    last: int
    """The last sequence that any member executed or has prepared."""
    slots: tuple[Slot, ...]
    """Slots that can be executed from these statements alone, ascending without a gap up to `last`."""
    vouchers: tuple[str, ...]

    @property
    def first(self) -> int:
        """The lowest sequence that these statements hold."""
        return self.slots[0].sequence if self.slots else self.last + 1

    def executes(self, index: int) -> bool:
        """Whether this member's log reaches the first slot, so that it can execute the plan."""
        return self.follows(self.reading.told[index].statement.executed)

    def follows(self, executed: int) -> bool:
        """Whether the slots continue a log that ends at sequence `executed`."""
        return executed >= max(self.first - 1, self.reading.config.base)

    @property
    def witnesses(self) -> tuple[int, ...]:
        """Members that can execute the plan."""
        return tuple(told.index for told in self.reading.told if self.executes(told.index))


def make_plan(reading: Reading) -> Plan:
    """The plan from the members' statements; raises RecoveryError if too few vouch or the statements
    contradict each other."""
    vouchers = [told for told in reading.told if told.statement.vouches]
    for told in vouchers:
        _check_vouching(told, reading.told)
    _check_enough(len(vouchers), reading)
    final = _final(reading.told)
    open_ = _newest_log(reading.told) if reading.config.mode is Mode.RAFT else _prepared(reading)
    _check_agree(final, reading.told)
    digests = _covered(reading.told, final) | open_
    digests |= {sequence: digest for sequence, (digest, _view) in final.items()}
    stable = max(told.statement.stable for told in reading.told)
    last = max(reading.config.base, stable, max(digests, default=0))
    plan = Plan(
        reading=reading,
        last=last,
        slots=_slots(digests, last, reading.told),
        vouchers=tuple(told.statement.member for told in vouchers),
    )
    _check_executable(plan)
    return plan


def _check_executable(plan: Plan) -> None:
    """Raises LogsBehind unless f + 1 members can execute the plan; the others sign the result of those. It
    is checked before any member signs: a member that has signed does not start again, but until then the
    others can still fetch the log."""
    told, needed = plan.reading.told, plan.reading.config.f + 1
    if len(plan.witnesses) >= needed:
        return
    able = ", ".join(told[index].statement.member for index in plan.witnesses) or "no member"
    ends = ", ".join(
        f"{each.statement.member} at {each.statement.executed}"
        for each in told
        if not plan.executes(each.index)
    )
    raise LogsBehind(
        f"The log begins at sequence {plan.first} in these statements, and only {able} can go on from there, "
        f"where {needed} must; the logs of the others end before ({ends}). Start all members that still run: "
        "without a quorum they decide nothing, but fetch what others have. When their logs have caught up, "
        "stop them, and let each tell its state again."
    )


# --- vouching ---------------------------------------------------------------------------------------


def _check_enough(count: int, reading: Reading) -> None:
    """Raises RecoveryError if q members vouch, so that no recovery is needed, or if fewer than n - q + 1 do,
    so that they may lack a committed entry."""
    n, q = reading.config.n, reading.config.q
    needed = n - q + 1
    if count >= q:
        raise RecoveryError(
            f"{count} of {n} members vouch for their logs, and {q} decide: no recovery is needed. Start "
            f"them; the others get their vote back by themselves, or a new key by `manage.py members`. If "
            f"one of the {count} follows without a vote then, tell its state again, without --vouch."
        )
    if count < needed:
        said = "No member vouches that its log is its newest one"
        if count:
            said = (
                f"Only {count} of {n} members vouch that their logs are their newest ones, and {needed} must"
            )
        raise RecoveryError(f"{said}: the log could end below receipts already given. {CONTINUE}")


def _check_vouching(voucher: Told, told: Iterable[Told]) -> None:
    """Raises RecoveryError if another member's ledger holds a statement signed by the voucher that the
    voucher's log lacks."""
    statement = voucher.statement
    votes = {(vote.phase, vote.view, vote.sequence): vote.digest for vote in statement.votes}
    for other in told:
        for verified in other.frames:
            message = verified.message
            if message.sender == voucher.index and (why := _beyond(message, voucher, votes)):
                raise RecoveryError(
                    f"{statement.member} vouches that its log is its newest one, but "
                    f"{other.statement.member} holds {why} that it signed and does not know: it lost its "
                    f"newest state, so it cannot vouch. Tell its state again, without --vouch."
                )


def _beyond(message: Any, voucher: Told, votes: dict[tuple[str, int, int], bytes]) -> str:
    """Description of a statement of the voucher that its log should hold but does not; "" if it does."""
    statement = voucher.statement
    if isinstance(message, (ViewChange, NewView)):
        return f"a view change to view {message.view}" if message.view > statement.view else ""
    if isinstance(message, Checkpoint):
        return f"a checkpoint of sequence {message.sequence}" if message.sequence > statement.executed else ""
    phase = PHASES.get(type(message))
    if phase is None or message.sequence <= statement.stable or message.view < statement.view:
        return ""  # below the log's view it can no longer vote, so it voted before and need not keep it
    if votes.get((phase, message.view, message.sequence)) == message.digest:
        return ""
    return f"a {phase} for sequence {message.sequence} in view {message.view}"


# --- the log ----------------------------------------------------------------------------------------


def _final(told: Iterable[Told]) -> dict[int, tuple[bytes, int]]:
    """Sequence -> (batch digest, view) of all entries executed by any member; raises RecoveryError if two
    differ."""
    found: dict[int, tuple[bytes, int]] = {}
    for each in told:
        for held in each.entries:
            if held.entry.sequence <= each.statement.stable:
                continue
            entry, view = held.entry, _view_of(held.commits, each)
            known, lowest = found.setdefault(entry.sequence, (entry.batch_digest, view))
            if known != entry.batch_digest:
                raise RecoveryError(_contradiction(entry.sequence))
            found[entry.sequence] = (known, min(lowest, view))
    return found


def _covered(told: Iterable[Told], final: dict[int, tuple[bytes, int]]) -> dict[int, bytes]:
    """Sequence -> batch digest of entries below stable checkpoints, which are proved by their log roots;
    raises RecoveryError if two differ."""
    found: dict[int, bytes] = {}
    for each in told:
        for held in each.entries:
            entry = held.entry
            if entry.sequence <= each.statement.stable:
                known = final.get(entry.sequence, (found.setdefault(entry.sequence, entry.batch_digest), 0))
                if known[0] != entry.batch_digest:
                    raise RecoveryError(_contradiction(entry.sequence))
    return found


def _view_of(commits: tuple[bytes, ...], told: Told) -> int:
    view: int = next(each.message.view for each in told.frames if each.frame == commits[0])
    return view


def _view_changes(reading: Reading) -> list[new_view.CheckedViewChange]:
    """Each statement as the checked VIEW-CHANGE that its member would send for a view above all others."""
    view = 1 + max(told.statement.view for told in reading.told)
    return [
        new_view.CheckedViewChange(
            sender=told.index,
            view=view,
            digest=told.statement.proofs,
            checkpoint=told.checkpoint,
            prepared=told.prepared,
            frame=b"",
            base=reading.config.base,
        )
        for told in reading.told
    ]


def _prepared(reading: Reading) -> dict[int, bytes]:
    """Sequence -> digest of what a new view would carry over."""
    return dict(new_view.plan(_view_changes(reading)).digests)


def _newest_log(told: Iterable[Told]) -> dict[int, bytes]:
    """Raft: index -> digest of the open entries in the log that ends newest, as an election compares logs
    (R44). Each acknowledged entry is in the logs of q members, so one of the n - q + 1 that vouch has it, and
    then the newest of all logs has it too (Ongaro & Ousterhout 2014, 5.4.3)."""
    newest = max(told, key=lambda each: (each.last_term, each.statement.executed + len(each.accepted)))
    return {each.sequence: each.digest for each in newest.accepted}


def _check_agree(final: dict[int, tuple[bytes, int]], told: Iterable[Told]) -> None:
    """Raises RecoveryError if another batch was prepared for a decided sequence in a later view: then more
    than f members lie."""
    for each in told:
        for prepared in each.prepared:
            digest, view = final.get(prepared.sequence, (prepared.digest, 0))
            if prepared.digest != digest and prepared.view > view:
                raise RecoveryError(_contradiction(prepared.sequence))


def _slots(digests: dict[int, bytes], last: int, told: Iterable[Told]) -> tuple[Slot, ...]:
    """The slots up to `last`, from the lowest sequence without a gap above it; raises RecoveryError if the
    batch of one is missing."""
    bodies: dict[bytes, dict[bytes, None]] = {}
    commits: dict[int, tuple[bytes, ...]] = {}
    for each in told:
        for held in each.entries:
            if held.commits:
                commits.setdefault(held.entry.sequence, held.commits)
            bodies.setdefault(held.entry.batch_digest, {})[held.body] = None
        for digest, body in each.bodies:
            bodies.setdefault(digest, {})[body] = None
    bodies[NULL_BATCH_DIGEST] = {b"": None}
    slots: list[Slot] = []
    sequence = last
    while (wanted := digests.get(sequence)) is not None:
        if wanted not in bodies:
            raise RecoveryError(f"Nobody shows the batch that was prepared at sequence {sequence}.")
        slots.append(Slot(sequence, wanted, tuple(bodies[wanted]), commits.get(sequence, ())))
        sequence -= 1
    return tuple(reversed(slots))


def _contradiction(sequence: int) -> str:
    return (
        f"Members prove two different decisions for sequence {sequence}: more than f of them lied. Keep all "
        "ledgers as they are; `manage.py audit` names who did."
    )
