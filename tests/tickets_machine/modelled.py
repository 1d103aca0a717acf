"""One operation asked of the machine and of the model of simulator, and all sequences up to a length.

A letter is an operation before it has an event, codes and tokens: its command holds the text of a code for
its digest, and for a token how many were seen since (-1: it was never seen).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec

from dtvn.machine import Command, ListedState, code_digest, default_salt, read_state
from dtvn.machine.kinds import KIND_OF
from dtvn.machine.ticket import LISTED_HEAD
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Bundle, Operation, Outcome, bundle_digest
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.genesis import Genesis, Grant, Principal, cluster_id
from simulator.checkers import list_model
from simulator.checkers.log_model import LOCKS, LogModel, Request
from tests.tickets_machine.support import SECOND, START, Machine, genesis, public

GRANTS = {
    "gateway": frozenset({"issue", "operate", "gate", "admin", "lock"}),
    "scanner": frozenset({"gate", "lock"}),
    "steward": frozenset({"gate", "supervise"}),
    "reader": frozenset[str](),
}
EVENT = "opera"
STATES = ("", "ISSUED", "VALIDATED", "CONSUMED", "DISPUTED", "UPHELD")
ALIKE: tuple[tuple[Any, ...], ...] = (("d1", "d2"), (b"n1", b"n2"), ("anna", "otto"), (b"a", b"b"))
"""Names that may be exchanged: of sequences that differ by that alone, one is tried."""


def founded() -> Genesis:
    """A cluster with these principals."""
    principals = [
        Principal(name, public(name), tuple(Grant("*", each) for each in sorted(granted)))
        for name, granted in GRANTS.items()
    ]
    return genesis(principals=principals)


class Letter(msgspec.Struct, frozen=True):
    """See above."""

    command: Command
    ticket: str = ""
    principal: str = "gateway"
    actor: str = "anna"
    nonce: bytes = b""
    later: int = 0
    """Microseconds after the operation before."""
    valid_for: int = 30 * SECOND
    event: str = EVENT

    @property
    def named(self) -> tuple[Any, ...]:
        """The values of fields whose names may be exchanged."""
        said = self.command
        fields = (getattr(said, field, None) for field in ("device", "movement", "holder"))
        return self.actor, self.nonce, *fields


FOUNDED = founded()
CLUSTER = cluster_id(FOUNDED)


@cache
def digest(event: str, text: str) -> bytes:
    """Of a code in an event of this cluster."""
    return code_digest(default_salt(CLUSTER, event), text)


def command_in(event: str, command: Command, tokens: Sequence[int] = ()) -> Command:
    """A letter's command with digests and a token."""
    changed: dict[str, Any] = {}
    if code := getattr(command, "code", None):
        changed["code"] = digest(event, code.decode())
    if codes := getattr(command, "codes", ()):
        changed["codes"] = tuple(digest(event, code.decode()) for code in codes)
    if (place := getattr(command, "token", None)) is not None:
        changed["token"] = tokens[-1 - place] if 0 <= place < len(tokens) else 1
    return msgspec.structs.replace(command, **changed) if changed else command


def request(letter: Letter, now: int, tokens: Sequence[int] = ()) -> Request:
    """What the model is asked at this time of the log."""
    command = command_in(letter.event, letter.command, tokens)
    return Request(
        KIND_OF[type(command)],
        command,
        letter.principal,
        letter.actor,
        letter.event,
        letter.ticket,
        letter.nonce,
        now,
        now - 1 + letter.valid_for,
        digest(letter.event, letter.ticket) if letter.ticket else b"",
    )


class Compared(Machine):
    """A machine and a model that are asked the same, one operation after the other."""

    def __init__(self, *, searched: bool = True) -> None:
        super().__init__(FOUNDED, searched=searched)
        for name in GRANTS:
            self.session(name)
        self.model = LogModel(GRANTS)
        self.tokens: dict[tuple[str, str], list[int]] = defaultdict(list)
        """Those that each lock had."""

    def ask(self, letter: Letter) -> str:
        """The code that both answer."""
        self.now += letter.later
        lock = letter.event, str(getattr(letter.command, "name", ""))
        asked = request(letter, self.now + 1, self.tokens[lock])
        operation = self.operation(
            asked.command,
            letter.ticket,
            event=letter.event,
            actor=letter.actor,
            nonce=letter.nonce,
            valid_for=letter.valid_for,
        )
        result = self.execute([bundle_of(self, letter.principal, [operation])]).results[0]
        assert result is not None
        (outcome,) = result.outcomes
        answer, name = self.model.ask(asked)
        assert outcome.code == answer
        if asked.kind in LOCKS:
            self._compare_lock(lock, outcome)
        elif asked.kind != "set_event":
            self._compare(asked, outcome, name)
        return answer

    def _compare_lock(self, lock: tuple[str, str], outcome: Outcome) -> None:
        self.save()
        change = self.rows.get(("lock", lock))
        if change is None:
            assert lock not in self.model.locks.held
            return
        assert self.model.locks.wrong(lock, change.row) is None
        assert outcome.state in (b"", canonical.encode(change.row))
        if change.row.token not in self.tokens[lock]:
            self.tokens[lock].append(change.row.token)

    def _compare(self, asked: Request, outcome: Outcome, name: str) -> None:
        told = read_state(outcome.state)
        if name:
            assert told is not None
            assert told.ticket == name
        for known, ticket in self.model.event(asked.event).tickets:
            row = self.application.row(asked.event, known)
            assert row is not None
            assert (row.state, row.upheld) == (
                STATES[ticket.state].replace("UPHELD", "DISPUTED"),
                ticket.state == 5,
            )
            assert (row.blocked, row.product) == (ticket.blocked, ticket.product)
            assert (row.not_before, row.not_after) == ticket.window
            assert (frozenset(row.codes), frozenset(row.revoked)) == (ticket.codes, ticket.revoked)
        wanted = getattr(asked.command, "list", "") or list_model.MAIN
        there = list_model.find(self.model.event(asked.event).lists, wanted) is not None
        if isinstance(told, ListedState) and (
            (there and asked.kind in SCANS) or told.timestamp == asked.now
        ):  # others, and scans of a list that is not there, are told what was counted last
            assert counted_in(told) == counted(self.model, asked, told.ticket, told.visit.list)


Counted = tuple[int, int, int]
"""Of a ticket on a list: entries used, entries allowed, persons inside."""


def counted_in(told: ListedState) -> Counted:
    """What an answer says."""
    return told.visit.used, told.visit.allowed, told.visit.inside


def counted(model: LogModel, asked: Request, name: str, slug: str) -> Counted | None:
    """What the model counts; None without such a ticket or list."""
    event = model.event(asked.event)
    listed, ticket = list_model.find(event.lists, slug), event.ticket(name)
    if listed is None or ticket is None:
        return None
    entries, exits = list_model.standing(listed, ticket.moves, asked.now)
    used = entries - exits if listed.returns else entries
    once = {"free": 0, "times": listed.times}.get(listed.rule, 1)
    return used, once * ticket.persons, entries - exits


SCANS = frozenset(("admit", "annul", "force"))
"""What is counted as of now in each answer."""
AT_ONCE = 5_000
"""Events of one machine, which knows no more than 10,000."""


class Path(msgspec.Struct, frozen=True):
    """A sequence of letters that changed something each, and the model after it."""

    letters: tuple[Letter, ...]
    model: LogModel
    given: int = 0
    """So many of the letters came first, and are not exchanged."""


Expected = tuple[str, Counted | None]
"""The code of an answer, and what is counted of the ticket on the list of a scan."""


class Try(msgspec.Struct):
    """A path in an event of its own, and letters that are asked behind it, all at once."""

    path: Path
    letters: list[Letter]
    expected: list[Expected]


def every_sequence(
    starts: Iterable[Sequence[Letter]], alphabet: Sequence[Letter], length: int
) -> dict[str, int]:
    """Ask all sequences of so many letters behind each start; returns how often each code was answered.

    A letter that changes nothing is followed by none: what comes behind it came without it, too.
    """
    paths = [started(letters) for letters in starts]
    counted: dict[str, int] = defaultdict(int)
    for turn in range(length):
        tries, paths = behind(paths, alphabet, last=turn + 1 == length)
        for first in range(0, len(tries), AT_ONCE):
            for code in answered(tries[first : first + AT_ONCE]):
                counted[code] += 1
    return counted


def started(letters: Sequence[Letter]) -> Path:
    """The path of a start."""
    model, offset = LogModel(GRANTS), 0
    for place, letter in enumerate(letters):
        offset += letter.later
        model.ask(request(letter, START + offset + place))
    return Path(tuple(letters), model, len(letters))


def behind(paths: Sequence[Path], alphabet: Sequence[Letter], *, last: bool) -> tuple[list[Try], list[Path]]:
    """What is to be asked behind paths, and the paths with one letter more."""
    tries, longer = [], []
    for path in paths:
        unchanged: dict[int, Try] = {}
        offset = sum(letter.later for letter in path.letters)
        before = path.model.state()
        for letter in alphabet:
            if not first_of_alike(path, letter):
                continue
            model = path.model.copy()
            asked = request(letter, START + offset + letter.later + len(path.letters))
            code, name = model.ask(asked)
            slug = getattr(letter.command, "list", None)
            on = counted(model, asked, name, slug or list_model.MAIN) if name and slug is not None else None
            answer = code, on
            if last or model.state() == before:
                known = unchanged.setdefault(letter.later, Try(path, [], []))
                if model.state() != before:
                    tries.append(Try(path, [letter], [answer]))
                    continue
                known.letters.append(letter)
                known.expected.append(answer)
            else:
                tries.append(Try(path, [letter], [answer]))
                longer.append(Path((*path.letters, letter), model, path.given))
        tries += unchanged.values()
    return tries, longer


def first_of_alike(path: Path, letter: Letter) -> bool:
    """Whether names that may be exchanged come in their order, and nothing is waited for in the beginning."""
    if letter.later and len(path.letters) == path.given:
        return False
    seen = {name for one in path.letters[path.given :] for name in one.named}
    for name in letter.named:
        for names in ALIKE:
            if (
                name in names
                and name not in seen
                and name != next(each for each in names if each not in seen)
            ):
                return False
        seen.add(name)
    return True


def answered(tries: Sequence[Try]) -> Iterable[str]:
    """Ask one machine all this, each try in an event of its own with actors of its own."""
    machine = Machine(FOUNDED)
    for name in GRANTS:
        machine.session(name)
    turns: dict[tuple[int, int], list[tuple[int, Sequence[Letter]]]] = defaultdict(list)
    for number, each in enumerate(tries):
        offset = 0
        for place, letter in enumerate(each.path.letters):
            offset += letter.later
            turns[offset, place].append((number, (letter,)))
        if each.letters:
            turns[offset + each.letters[0].later, len(each.path.letters)].append((number, each.letters))
    for (offset, place), asked in sorted(turns.items(), key=lambda turn: turn[0]):
        machine.now = START + offset + place
        yield from asked_at_once(machine, tries, asked, place)


def asked_at_once(
    machine: Machine, tries: Sequence[Try], asked: Sequence[tuple[int, Sequence[Letter]]], place: int
) -> Iterable[str]:
    """One batch; yields the codes of letters behind their paths."""
    by_principal: dict[str, list[tuple[tuple[int, int], Operation]]] = defaultdict(list)
    for number, letters in asked:
        for index, letter in enumerate(letters):
            operation = operation_of(letter, number, machine)
            by_principal[letter.principal].append(((number, index), operation))
    bundles = [
        bundle_of(machine, principal, [operation for _at, operation in some])
        for principal, some in by_principal.items()
    ]
    machine.sequence += 1
    results = machine.application.execute(bundles, sequence=machine.sequence, timestamp=machine.now).results
    found: dict[tuple[int, int], Outcome] = {}
    for some, result in zip(by_principal.values(), results, strict=True):
        assert result is not None
        for (at, _operation), outcome in zip(some, result.outcomes, strict=True):
            found[at] = outcome
    for number, letters in asked:
        tried = tries[number]
        if place == len(tried.path.letters):
            for index, (letter, expected) in enumerate(zip(letters, tried.expected, strict=True)):
                outcome = found[number, index]
                assert agrees(expected, outcome), story(tried.path, letter, expected, outcome)
                yield outcome.code


def agrees(expected: Expected, found: Outcome) -> bool:
    """Whether an answer is what the model says."""
    code, on = expected
    if code != found.code:
        return False
    if on is None or not found.state.startswith(LISTED_HEAD):
        return True
    told = read_state(found.state)
    return isinstance(told, ListedState) and counted_in(told) == on


def operation_of(letter: Letter, number: int, machine: Machine) -> Operation:
    """The operation of a letter in the event of its try. Codes are those of EVENT unless they are ids."""
    event = f"{letter.event}-{number}"
    ids = letter.ticket.encode() in (
        getattr(letter.command, "code", None),
        *getattr(letter.command, "codes", ()),
    )
    payload = (
        canonical.encode_trimmed(command_in(event, letter.command)) if ids else payload_of(letter.command)
    )
    return Operation(
        KIND_OF[type(letter.command)],
        event,
        letter.ticket,
        f"{letter.actor}.{number}",
        "node0",
        machine.now - 1 + letter.valid_for,
        letter.nonce,
        payload,
    )


@cache
def payload_of(command: Command) -> bytes:
    """Of a letter without a token."""
    return canonical.encode_trimmed(command_in(EVENT, command))


def bundle_of(machine: Machine, principal: str, operations: Sequence[Operation]) -> VerifiedBundle:
    """The next bundle of a principal, as its reader passes it on."""
    number = machine.numbers[principal]
    machine.numbers[principal] = number + 1
    bundle = Bundle(0, principal, b"client00", machine.sessions[principal], number, number, tuple(operations))
    return VerifiedBundle(bundle, bundle_digest(canonical.encode(bundle)), b"")


def story(path: Path, letter: Letter, expected: Expected, found: Outcome) -> str:
    """The operations of a sequence, one a line, for the message of a failure."""
    told = read_state(found.state) if found.state.startswith(LISTED_HEAD) else None
    on = counted_in(told) if isinstance(told, ListedState) else None
    return "\n".join([*map(repr, (*path.letters, letter)), f"{(found.code, on)}; the model says {expected}"])
