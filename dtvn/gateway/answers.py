"""The members' answers to one bundle, counted until f + 1 of them agree (R16). Pure.

Theory of operation. A member answers an executed bundle with a `Reply`: entry, position, outcomes, a
Merkle path and its signed receipt. The verifier recomputes the leaves from the outcomes, climbs the path
and hashes the entry; only then does the reply support a *candidate* (entry hash, position). Outcomes are
accepted when f + 1 distinct members named the same candidate and their receipts verify, so at least one
honest member executed exactly this.

The f + 1 members must agree on the position too. A leaf names its operation but not its bundle, so one
lying member could present the outcome of another bundle with an identical operation, with a valid path to
a valid entry; two gates with the same actor would then both admit. Links are authenticated, hence the
unsigned position is attributable to the member just like its receipt.

A retry may be answered by a signed `Repeat` instead: position and codes without states. Replies and
repeats that name the same position and codes count together for the codes, never for the states.

A signed answer may still be of any size: lengths, counts and codes are checked before anything is kept or
verified, so f lying members make a gateway hold no more than honest ones would send (P15).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from dtvn.machine.kinds import about
from dtvn.machine.leaf import subtree
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.wire import Door, PeerError

CACHED_RECEIPTS_MAX = 4_096
"""Verified receipts cached: all bundles of one batch carry the same n receipts."""

RECEIPT_BYTES_MAX = 512
"""Size limit of a Receipt frame: five fields, a signature and their framing are below 200 bytes."""

CODE_LENGTH_MAX = 64
"""Characters of an outcome code; those of dtvn.machine.reasons have at most 18."""

STATE_BYTES_MAX = 5_120
"""Size limit of a ticket's state and terms: texts of 256 characters of four bytes, a clock of 31 members."""
PLACE_BYTES = 9
"""Bytes of one more place in the clock, which never loses a place: each epoch may add one newcomer."""

LISTING = about("principals", "membership")
LISTING_BYTES_MAX = 20 * 1024
"""Size limit of the state that LISTING operations return: all members of an epoch with their addresses
(31 of 360 bytes), or all grants of a principal (64 of 280)."""

OF_EVENTS = about("event")
EVENT_BYTES_MAX = 72 * 1024
"""Size limit of the row of an event: a thousand products whose names have 64 KiB in all, and a few texts."""

FRAMING = 512
"""Bytes of outcomes besides their codes and states."""

PATH_LENGTH_MAX = 32
"""Levels above a bundle's subtree: a batch has far fewer than 2^32 bundles."""

HINTS = frozenset(reason.value for reason in Reason)
"""The codes that a Busy may carry; other codes are ignored."""

_Said = TypeVar("_Said", m.Receipt, m.Repeat)
_INDEX_LIMIT = 1 << 32


class ReplyHead(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A `Reply` whose long parts are left undecoded: most replies only confirm an earlier one."""

    session: tuple[int, int]
    number: int
    request: bytes
    entry: msgspec.Raw
    first_index: int
    outcomes: msgspec.Raw
    path: tuple[tuple[bool, bytes], ...]
    receipt: bytes


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """Outcome on which f + 1 members agree. `timestamp` (microseconds) is 0 and states are b"" when only the
    codes are known (from repeats)."""

    sequence: int
    first_index: int
    timestamp: int
    outcomes: tuple[m.Outcome, ...]
    repeated: bool


class _Candidate(msgspec.Struct):
    entry: m.Entry
    entry_hash: bytes
    first_index: int
    outcomes: tuple[m.Outcome, ...]
    receipts: dict[int, bytes] = {}
    """Receipt frames by member, not yet verified."""


class Verifier:
    """Checks the parts of answers; shared by all bundles of one collector, with bounded memory."""

    def __init__(self, door: Door, members: tuple[str, ...], epoch: int) -> None:
        self._door = door
        self._peers = tuple(Peer(name=name, member=index) for index, name in enumerate(members))
        self._epoch = epoch
        self._heads = msgspec.msgpack.Decoder(ReplyHead)
        self._entries = msgspec.msgpack.Decoder(m.Entry)
        self._outcomes = msgspec.msgpack.Decoder(tuple[m.Outcome, ...])
        self.later = False
        """Whether the last entry was said to be of a later epoch: a hint that nothing proves."""
        self._receipts: dict[tuple[int, bytes], m.Receipt] = {}
        self._last_entry: tuple[bytes, m.Entry, bytes] | None = None
        self.refused = [0] * len(members)
        """Number of invalid answers by member (a metric)."""

    def head(self, body: bytes) -> ReplyHead | None:
        """Decode the body of a Reply; None if it does not decode."""
        try:
            return self._heads.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None

    def entry(self, raw: msgspec.Raw) -> tuple[m.Entry, bytes] | None:
        """The entry and its hash; None if invalid. Bundles of one batch share it, so the last is cached."""
        data = bytes(raw)
        self.later = False
        if self._last_entry is not None and self._last_entry[0] == data:
            return self._last_entry[1], self._last_entry[2]
        try:
            entry = self._entries.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        self.later = entry.epoch > self._epoch
        if entry.epoch != self._epoch:
            return None
        self._last_entry = (data, entry, m.entry_hash(entry))
        return entry, self._last_entry[2]

    def outcomes(
        self, head: ReplyHead, entry: m.Entry, operations: tuple[m.Operation, ...]
    ) -> tuple[m.Outcome, ...] | None:
        """The outcomes, if leaves and path lead to the entry's results root; else None."""
        if len(bytes(head.outcomes)) > FRAMING + sum([_bytes_max(op, self._epoch) for op in operations]):
            return None
        try:
            outcomes = self._outcomes.decode(head.outcomes)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if len(outcomes) != len(operations) or not 0 <= head.first_index < _INDEX_LIMIT:
            return None
        if len(head.path) > PATH_LENGTH_MAX or any(len(sibling) != 32 for _left, sibling in head.path):
            return None
        node = subtree(head.first_index, operations, outcomes, entry.timestamp)
        for left, sibling in head.path:
            node = canonical.node_hash(sibling, node) if left else canonical.node_hash(node, sibling)
        return outcomes if node == entry.results_root else None

    def receipt(self, member: int, frame: bytes) -> m.Receipt | None:
        """The Receipt in a frame, its signature checked once; None unless of this member and epoch."""
        key = (member, frame)
        known = self._receipts.get(key)
        if known is not None:
            return known
        message = self._signed(member, frame, m.Receipt)
        if message is None:
            return None
        if len(self._receipts) >= CACHED_RECEIPTS_MAX:
            del self._receipts[next(iter(self._receipts))]
        self._receipts[key] = message
        return message

    def repeat(self, member: int, frame: bytes) -> m.Repeat | None:
        """The Repeat in a frame whose size and codes are checked; None unless of this member and epoch."""
        return self._signed(member, frame, m.Repeat)

    def _signed(self, member: int, frame: bytes, kind: type[_Said]) -> _Said | None:
        try:
            message = self._door.statement(self._peers[member], frame).message
        except PeerError:
            return None
        wanted = isinstance(message, kind) and message.sender == member and message.epoch == self._epoch
        return message if wanted else None


class Tally:
    """Counts the answers to one bundle. At most one claim per member is kept, so memory is bounded."""

    def __init__(self, request: bytes, operations: tuple[m.Operation, ...], needed: int) -> None:
        self.request = request
        self.operations = operations
        self._needed = needed
        self._candidates: dict[tuple[bytes, int], _Candidate] = {}
        self._claims: dict[int, tuple[bytes, int]] = {}
        self._repeats: dict[int, m.Repeat] = {}
        self._hints: dict[int, tuple[str, int]] = {}
        """Member -> (code, log time that it told)."""

    def reply(self, member: int, head: ReplyHead, verifier: Verifier) -> Verdict | None:
        """Count a member's Reply; return the verdict if it completes f + 1 equal ones, else None."""
        found = verifier.entry(head.entry) if len(head.receipt) <= RECEIPT_BYTES_MAX else None
        if found is None:
            verifier.refused[member] += 1
            return None
        entry, entry_hash = found
        key = (entry_hash, head.first_index)
        candidate = self._candidates.get(key)
        if candidate is None:
            outcomes = verifier.outcomes(head, entry, self.operations)
            if outcomes is None:
                verifier.refused[member] += 1
                return None
            candidate = _Candidate(entry, entry_hash, head.first_index, outcomes)
            self._candidates[key] = candidate
        if self._claims.get(member, key) != key:
            self._drop(member)  # only a member's newest claim counts
        candidate.receipts[member] = head.receipt
        self._claims[member] = key
        if len(candidate.receipts) >= self._needed:
            signers = self._receipts(candidate, verifier)
            if len(signers) >= self._needed:
                return _verdict(candidate)
        return self._agree_on_codes(verifier) if self._repeats else None

    def repeat(self, member: int, frame: bytes, said: m.Repeat, verifier: Verifier) -> Verdict | None:
        """Count a member's Repeat (`said` is the decoded `frame`); return the verdict if f + 1 members name
        the same position and codes, else None."""
        if not self._fits(said) or verifier.repeat(member, frame) is None:
            verifier.refused[member] += 1
            return None
        self._repeats[member] = said
        return self._agree_on_codes(verifier)

    def hint(self, member: int, code: str, timestamp: int = 0) -> bool:
        """Note why a member did not order the bundle; True if f + 1 members report the same code."""
        if code not in HINTS:
            return False
        self._hints[member] = code, timestamp
        return self.hinting(code) >= self._needed

    def hinting(self, code: str) -> int:
        """Number of members that report this code."""
        return sum(said == code for said, _timestamp in self._hints.values())

    def expired_at(self) -> int:
        """The highest log time that f + 1 of the members which report `expired` have reached, in
        microseconds; 0: not known. A time at which the bundle was still valid is a lie."""
        end = max(operation.valid_until for operation in self.operations)
        told = [at for code, at in self._hints.values() if code == Reason.EXPIRED and at > end]
        return sorted(told, reverse=True)[self._needed - 1] if len(told) >= self._needed else 0

    # --- internals -------------------------------------------------------------------------------

    def _fits(self, said: m.Repeat) -> bool:
        """Whether a Repeat can be about this bundle; checked before its signature, which costs more."""
        return len(said.codes) == len(self.operations) and all(
            len(code) <= CODE_LENGTH_MAX for code in said.codes
        )

    def _drop(self, member: int) -> None:
        key = self._claims.pop(member)
        candidate = self._candidates[key]
        del candidate.receipts[member]
        if not candidate.receipts:
            del self._candidates[key]

    def _receipts(self, candidate: _Candidate, verifier: Verifier) -> set[int]:
        """Members whose receipts for a candidate verify; drops the claims of the others."""
        good: set[int] = set()
        for member, frame in list(candidate.receipts.items()):
            statement = verifier.receipt(member, frame)
            if (
                statement is not None
                and statement.entry_hash == candidate.entry_hash
                and statement.sequence == candidate.entry.sequence
            ):
                good.add(member)
            else:
                verifier.refused[member] += 1
                self._drop(member)
        return good

    def _agree_on_codes(self, verifier: Verifier) -> Verdict | None:
        votes: dict[tuple[int, int, tuple[str, ...]], set[int]] = {}
        for member, repeat in self._repeats.items():
            votes.setdefault((repeat.sequence, repeat.first_index, repeat.codes), set()).add(member)
        for (sequence, first_index, codes), members in votes.items():
            supporters = set(members)
            for candidate in list(self._candidates.values()):
                if (candidate.entry.sequence, candidate.first_index) == (
                    sequence,
                    first_index,
                ) and _codes(candidate.outcomes) == codes:
                    supporters |= self._receipts(candidate, verifier)
            if len(supporters) >= self._needed:
                outcomes = tuple(m.Outcome(code=code, state=b"") for code in codes)
                return Verdict(sequence, first_index, 0, outcomes, repeated=True)
        return None


def _bytes_max(operation: m.Operation, epoch: int) -> int:
    """Size limit of the outcome of an operation in an epoch, its place as a repeat (R48) included."""
    if operation.kind in LISTING:
        return CODE_LENGTH_MAX + LISTING_BYTES_MAX
    if operation.kind in OF_EVENTS:
        return CODE_LENGTH_MAX + EVENT_BYTES_MAX
    return CODE_LENGTH_MAX + STATE_BYTES_MAX + epoch * PLACE_BYTES


def _verdict(candidate: _Candidate) -> Verdict:
    entry = candidate.entry
    return Verdict(entry.sequence, candidate.first_index, entry.timestamp, candidate.outcomes, repeated=False)


def _codes(outcomes: Iterable[m.Outcome]) -> tuple[str, ...]:
    return tuple(outcome.code for outcome in outcomes)
