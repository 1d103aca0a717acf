"""Changes of the membership that were asked of this platform: kept, and carried out one after the other.

    waiting     nothing was done yet; a newcomer of ours gets key, folder and process here
    following   the newcomer follows the log without a vote, until it has nearly all of it (R36)
    ordering    the change is stored as it is sent, then sent; after a crash the same bytes go again
    done        its epoch has begun; refused: the log, or the newcomer, said no; cancelled: taken back before
                anything was sent

`ask` stores a wish, `cancel` that it is to be taken back, `turn` does one step of the oldest that is not
finished. One process calls `turn` (validators.processes.membership); everybody may call the others.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from typing import Any

import msgspec
from django.db import transaction
from django.utils import timezone

from tickets.machine import reasons
from tickets.services.decide import Request, decide
from tickets.services.errors import OutcomeUnknown, TicketError, Unavailable
from tickets.services.network import gateway
from validators import canonical
from validators.consensus.membership import Alive, Change, alive_bytes, is_fresh, window
from validators.gateway.face import GatewayFace
from validators.gateway.membership import gather_words
from validators.genesis import cluster_id
from validators.link import KeyFileError, public_key_of, read_seed
from validators.models import ChangeState, MembershipChange
from validators.processes.errors import StartError
from validators.quorum import weak_quorum
from validators.services import change_limits, joining, newcomers
from validators.services.errors import (
    ChangeFinished,
    ChangeOrdered,
    ChangePending,
    ChangeUnknown,
    ServiceError,
    TooManyChanges,
)
from validators.services.membership import (
    Preview,
    Wish,
    change_of,
    incoming_keys,
    newest_epoch,
    order,
    preview,
    read_word,
)
from validators.waiting import look_until
from validators.wire import ED25519

__all__ = [
    "ChangeFinished",
    "ChangeOrdered",
    "ChangePending",
    "ChangeUnknown",
    "TooManyChanges",
    "ask",
    "call_off",
    "cancel",
    "foresee",
    "turn",
    "wait",
    "wish_of",
]

logger = logging.getLogger("dtvn.members")

FOLLOW_WAIT = 600.0
"""Seconds for a newcomer of ours to have the log."""
FRESH = 10_000_000
"""Microseconds for which a word that a newcomer wrote is worth sending; the cluster takes 30 s."""
WORDS_WAIT = 5.0
LOOK_INTERVAL = 0.1
ATTEMPTS_MAX = 6
ATTEMPT_PAUSE = 1.0
CANCELLED = "cancelled"
AGAIN = frozenset({reasons.NOT_READY, reasons.WRONG_EPOCH, reasons.EXPIRED, reasons.BUSY})
"""Refusals that fresh words, another look at the epoch, or time may cure."""


class NonceReused(TicketError):
    """The nonce stands for another change."""

    def __init__(self) -> None:
        super().__init__(reasons.NONCE_REUSED)


def foresee(wish: Wish) -> Preview:
    """The quorum calculator for a wish, as of the newest epoch; raise InvalidRequest."""
    now = newest_epoch(gateway())
    found = preview(now, wish)
    newcomers.check(wish, now)
    return found


def ask(wish: Wish, *, actor: str, nonce: bytes = b"") -> MembershipChange:
    """Store a change to be carried out; the same one for the same actor and nonce.

    Raises InvalidRequest, TicketError (what the cluster would refuse, as far as one can see), ChangePending,
    TooManyChanges.
    """
    told = msgspec.to_builtins(wish)
    named = hashlib.sha256(nonce).hexdigest() if nonce else secrets.token_hex(16)
    same = MembershipChange.objects.filter(actor=actor, nonce=named)
    known = same.first()
    if known is None:
        expected = foresee(wish)
        if expected.code:
            raise TicketError(expected.code, expected.sentence)
        with transaction.atomic():
            change_limits.hold()
            known = same.first()
            if known is None:
                change_limits.refuse_rivals(wish)
                change_limits.refuse_flood(actor)
                made = MembershipChange.objects.create(wish=told, actor=actor, nonce=named)
                joining.tell(made)
                return made
    if known.wish != told:
        raise NonceReused
    return known


def cancel(number: int) -> MembershipChange:
    """Have a change taken back, if nothing of it was sent yet; `turn` winds it up. Twice is once.

    Raises ChangeUnknown, ChangeOrdered, ChangeFinished.
    """
    # One update decides: `_order` stores what it sends only where this was not said before.
    change_limits.unfinished().filter(pk=number, content=b"").update(cancelled=True)
    row = MembershipChange.objects.filter(pk=number).first()
    if row is None:
        raise ChangeUnknown
    if row.cancelled:
        return row
    if row.finished:
        raise ChangeFinished(row.pk, row.state)
    raise ChangeOrdered(row.pk)


def call_off(node_id: str) -> bool:
    """Have the change taken back by which a newcomer of ours is about to join; False where there is none.

    Raises ChangeOrdered.
    """
    for row in change_limits.unfinished():
        if joining.newcomer_of(row) == node_id:
            cancel(row.pk)
            return True
    return False


def wait(row: MembershipChange, seconds: float) -> MembershipChange:
    """The row once it is finished and this process speaks with its epoch; or as it is after so many
    seconds."""

    def over() -> bool:
        row.refresh_from_db()
        return row.finished and gateway().present.epoch >= (row.epoch or 0)

    look_until(over, seconds, pause=LOOK_INTERVAL)
    return row


def wish_of(row: MembershipChange) -> Wish:
    """What a row asks for."""
    return msgspec.convert(row.wish, Wish)


def turn() -> MembershipChange | None:
    """One step of the oldest change that is not finished; None when there is none. What is to be taken back
    comes first."""
    row = change_limits.unfinished().order_by("-cancelled", "id").first()
    if row is None:
        return None
    try:
        if row.cancelled:
            _take_back(row)
            return row
        {
            ChangeState.WAITING: _begin,
            ChangeState.FOLLOWING: _follow,
            ChangeState.ORDERING: _order,
        }[ChangeState(row.state)](row)
    except (Unavailable, OutcomeUnknown) as error:
        _note(row, code=error.code, sentence=str(error))
    except ServiceError as error:
        _refuse(row, error.code, str(error), getattr(error, "sequence", 0))
    except (KeyFileError, StartError, OSError, ValueError) as error:
        if row.content:
            raise  # it was sent: asked again until its outcome is known
        _refuse(row, ServiceError.code, f"This platform cannot do its part: {error}", 0)
    return row


# --- steps ------------------------------------------------------------------------------------------


def _begin(row: MembershipChange) -> None:
    wish = wish_of(row)
    if wish.own and wish.change == "rotate":
        newcomers.next_key(wish.node_id)
    elif wish.own:
        row.host, row.port = newcomers.make(wish.node_id, newest_epoch(gateway()), _asker(row))
        row.save(update_fields=["host", "port"])
        _note(row, state=ChangeState.FOLLOWING, sentence=f"{wish.node_id} fetches the log.")
        return
    _note(row, state=ChangeState.ORDERING, sentence="The members are asked whether they live.")


def _follow(row: MembershipChange) -> None:
    wish = wish_of(row)
    network = gateway()
    word = newcomers.word_of(wish.node_id)
    if word is not None and _caught_up(word, network):
        _note(row, state=ChangeState.ORDERING, sentence=f"{wish.node_id} has the log.")
    elif (timezone.now() - row.created_at).total_seconds() > FOLLOW_WAIT:
        _refuse(
            row, reasons.NOT_READY, f"{wish.node_id} did not get the log in {FOLLOW_WAIT:.0f} seconds.", 0
        )
    elif word is not None:
        _note(row, sentence=f"{wish.node_id} has executed up to {word.executed}.")


def _order(row: MembershipChange) -> None:
    """Send what is stored; or build, store, then send. What may be otherwise in a moment is tried again."""
    try:
        if not row.content and not _prepare(row):
            return  # taken back meanwhile
        change = canonical.decode(Change, bytes(row.content))
        began = order(change, actor=row.actor, nonce=_nonce(row, str(row.attempt)).encode())
    except TicketError as error:
        if isinstance(error, Unavailable) or error.code not in AGAIN or row.attempt >= ATTEMPTS_MAX:
            raise  # unavailable: what was sent before may still happen, so its bytes are kept
        row.attempt += not row.content  # refused before there was anything to send
        row.content = b""
        row.save(update_fields=["attempt", "content"])
        _note(row, code=error.code, sentence=f"{error} Asked again.")
        time.sleep(ATTEMPT_PAUSE)
        return
    wish = wish_of(row)
    newcomers.settle(joined=wish.node_id if wish.own and wish.change != "rotate" else "", left=wish.leaving)
    if wish.leaving:
        newcomers.retire(wish.leaving, _asker(row))
    _note(
        row,
        state=ChangeState.DONE,
        code=reasons.OK,
        sentence=f"Epoch {began.epoch} has begun, after sequence {began.sequence}.",
        epoch=began.epoch,
        sequence=began.sequence,
        finished_at=timezone.now(),
    )


def _prepare(row: MembershipChange) -> bool:
    """Build and store what the next attempt sends; False where the change was taken back."""
    change = _build(row)
    row.attempt, row.content = row.attempt + 1, canonical.encode(change)
    wanted = MembershipChange.objects.filter(pk=row.pk, cancelled=False)
    return bool(wanted.update(attempt=row.attempt, content=row.content))


def _build(row: MembershipChange) -> Change:
    """The change as of now, with fresh words of life."""
    wish, network = wish_of(row), gateway()
    key = bytes(32)
    if wish.own:
        folder = newcomers.folder_of(wish.node_id)
        path = folder.next_key if wish.change == "rotate" else folder.key
        key = public_key_of(read_seed(path))
    keys = incoming_keys(wish, key)
    words = gather_words(network, without=wish.leaving, keys=keys, wait=WORDS_WAIT)
    now = network.present
    if wish.word:
        words.append(read_word(wish.word))
    elif wish.own and wish.change != "rotate":
        words += [word] if (word := newcomers.word_of(wish.node_id)) else []
    change = change_of(now, wish, key=key, place=(row.host, row.port), words=tuple(words))
    change_limits.refuse_standstill(now, change)
    return change


def _caught_up(word: Alive, network: GatewayFace) -> bool:
    """Whether a word is fresh, of this epoch, and half a window behind what an honest member has executed
    at most."""
    now = network.present
    told = sorted((member.sequence for member in network.members() if member.connected), reverse=True)
    front = told[min(weak_quorum(len(now.members)), len(told)) - 1] if told else 0
    said = alive_bytes(cluster_id(network.genesis), now.epoch, word.member, word.executed, word.timestamp)
    key = public_key_of(read_seed(newcomers.folder_of(word.member).key))
    clock = time.time_ns() // 1_000
    fresh = clock - word.timestamp < FRESH and is_fresh(word.timestamp, clock, now.parameters)
    return (
        fresh
        and ED25519.verify(key, said, word.signature)
        and word.executed >= front - window(now.parameters) // 2
    )


def _take_back(row: MembershipChange) -> None:
    """Nothing of it was sent: a newcomer of ours stops, a key that nobody will have is thrown away."""
    wish = wish_of(row)
    if wish.own:
        newcomers.give_up(wish)
    _note(
        row,
        state=ChangeState.CANCELLED,
        code=CANCELLED,
        sentence="It was taken back before anything was sent to the cluster.",
        finished_at=timezone.now(),
    )


def _refuse(row: MembershipChange, code: str, sentence: str, sequence: int) -> None:
    wish = wish_of(row)
    if wish.own:
        newcomers.give_up(wish)
    _note(
        row,
        state=ChangeState.REFUSED,
        code=code,
        sentence=sentence,
        sequence=sequence,
        finished_at=timezone.now(),
    )


def _note(row: MembershipChange, **changed: Any) -> None:
    """Write what is new, in one update, and say it in the log when the state is another."""
    if all(getattr(row, name) == value for name, value in changed.items()):
        return
    moved = "state" in changed and changed["state"] != row.state
    for name, value in changed.items():
        setattr(row, name, value)
    row.save(update_fields=[*changed])
    if moved:
        logger.info("change %s (%s): %s. %s", row.pk, row, row.state, row.sentence)
        joining.tell(row)


def _asker(row: MembershipChange) -> newcomers.Asker:
    """Who asks for the operations around a change; doing one twice is doing it once."""
    return lambda command, step: decide(
        [Request(command, nonce=_nonce(row, step).encode())], actor=row.actor
    )[0]


def _nonce(row: MembershipChange, step: str) -> str:
    """The nonce of one operation of a change (R13): other than that of every other change and attempt."""
    return hashlib.sha256(f"{row.actor}\0{row.nonce}\0{step}".encode()).hexdigest()
