"""Changes of the membership that were requested from this platform: stored, and carried out one after the
other.

    waiting     nothing was done yet; a newcomer of ours gets key, folder and process here
    following   the newcomer follows the log without a vote, until it has nearly all of it (R36)
    ordering    the change is stored in its final bytes, then sent; after a crash the same bytes go again
    done        its epoch has begun; refused: by the log or the newcomer; cancelled: before anything was sent

`ask` stores a requested change, `cancel` marks it as taken back, `turn` executes one step of the oldest
unfinished one. One process calls `turn` (validators.membership.change_loop); any process may call the others.
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

from dtvn.api.errors import OutcomeUnknown, TicketError, Unavailable
from dtvn.api.ordering import Request
from dtvn.gateway import gather_liveness_proofs
from dtvn.machine import reasons
from dtvn.net import KeyFileError, public_key_of, read_seed
from dtvn.node.options import StartError
from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import Change
from dtvn.waiting import look_until
from validators.membership import change_limits, newcomers, node_list
from validators.membership.change_request import (
    ChangeRequest,
    Preview,
    change_of,
    incoming_keys,
    newest_epoch,
    order,
    preview,
    read_proof,
)
from validators.models import ChangeState, MembershipChange
from validators.services.announcing import desired_state_changed
from validators.services.cluster import lock_cluster
from validators.services.decide import decide
from validators.services.errors import ChangeFinished, ChangeOrdered, ChangeUnknown, ServiceError
from validators.services.network import gateway

logger = logging.getLogger("dtvn.members")

FOLLOW_WAIT = 600.0
"""Seconds for a newcomer to catch up with the log, once it may follow; anew after a restart of `up`."""
_following: dict[int, float] = {}
"""Id of the change whose newcomer follows (one at a time) -> monotonic seconds since when."""
LOOK_INTERVAL = 0.1
ATTEMPTS_MAX = 6
ATTEMPT_PAUSE = 1.0
CANCELLED = "cancelled"
AGAIN = frozenset({reasons.NOT_READY, reasons.WRONG_EPOCH, reasons.EXPIRED, reasons.BUSY})
"""Refusals that may not recur with a fresh liveness proof, a newer epoch, or after some time."""


class NonceReused(TicketError):
    """The nonce was already used for another change."""

    def __init__(self) -> None:
        super().__init__(reasons.NONCE_REUSED)


def foresee(asked: ChangeRequest) -> Preview:
    """The quorum calculator's preview of a change, as of the newest epoch; raise InvalidRequest."""
    now = newest_epoch(gateway())
    found = preview(now, asked)
    newcomers.check(asked, now)
    return found


def ask(asked: ChangeRequest, *, actor: str, nonce: bytes = b"") -> MembershipChange:
    """Store a change to be carried out; the same actor and nonce return the same change.

    Raises InvalidRequest, TicketError (a refusal that can be foreseen), ChangePending, TooManyChanges.
    """
    told = msgspec.to_builtins(asked)
    named = hashlib.sha256(nonce).hexdigest() if nonce else secrets.token_hex(16)
    same = MembershipChange.objects.filter(actor=actor, nonce=named)
    known = same.first()
    if known is None:
        expected = foresee(asked)
        if expected.code:
            raise TicketError(expected.code, expected.sentence)
        with transaction.atomic():
            lock_cluster()  # no other process stores a change meanwhile
            known = same.first()
            if known is None:
                change_limits.refuse_rivals(asked)
                change_limits.refuse_flood(actor)
                made = MembershipChange.objects.create(request=told, actor=actor, nonce=named)
                node_list.tell(made)
                desired_state_changed()
                return made
    if known.request != told:
        raise NonceReused
    return known


def cancel(number: int) -> MembershipChange:
    """Mark a change as cancelled, if nothing of it was sent yet; `turn` then cleans up. Idempotent.

    Raises ChangeUnknown, ChangeOrdered, ChangeFinished.
    """
    # This single update decides: `_order` stores the bytes to send only if the change was not cancelled
    # before.
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
    """Cancel the change by which a newcomer of ours is about to join; False if there is no such change.

    Raises ChangeOrdered.
    """
    for row in change_limits.unfinished():
        if row.newcomer == node_id:
            cancel(row.pk)
            return True
    return False


def wait(row: MembershipChange, seconds: float) -> MembershipChange:
    """The row once it is finished and this process's gateway uses its epoch; otherwise its state after
    `seconds`."""

    def over() -> bool:
        row.refresh_from_db()
        return row.finished and gateway().present.epoch >= (row.epoch or 0)

    look_until(over, seconds, pause=LOOK_INTERVAL)
    return row


def request_of(row: MembershipChange) -> ChangeRequest:
    """The change that a row requests."""
    return msgspec.convert(row.request, ChangeRequest)


def turn() -> MembershipChange | None:
    """Executes one step of the oldest unfinished change, cancelled ones first; returns None if all are
    finished."""
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
            raise  # it was sent: retried until its outcome is known
        _refuse(row, ServiceError.code, f"This platform cannot do its part: {error}", 0)
    return row


# --- steps ------------------------------------------------------------------------------------------


def _begin(row: MembershipChange) -> None:
    asked = request_of(row)
    if asked.own and asked.change == "rotate":
        newcomers.next_key(asked.node_id, gateway())
    elif asked.own:
        row.host, row.port = newcomers.make(asked.node_id, newest_epoch(gateway()), _asker(row))
        row.save(update_fields=["host", "port"])
        _note(row, state=ChangeState.FOLLOWING, sentence=f"{asked.node_id} is fetching the log.")
        return
    if newcomers.follows_first(asked):
        newcomers.allow_to_follow(asked, _asker(row))
        sentence = f"{asked.node_id} may fetch the log: its own party starts it now."
        _note(row, state=ChangeState.FOLLOWING, sentence=sentence)
        return
    _note(row, state=ChangeState.ORDERING, sentence="Collecting liveness proofs from the members.")


def _follow(row: MembershipChange) -> None:
    asked, now = request_of(row), time.monotonic()
    if row.pk not in _following:
        _following.clear()
        _following[row.pk] = now
    network = gateway()
    proof = newcomers.proof_of(asked, network)
    if proof is not None and newcomers.caught_up(asked, proof, network):
        _note(row, state=ChangeState.ORDERING, sentence=f"{asked.node_id} has the log.")
    elif now - _following[row.pk] >= FOLLOW_WAIT:
        _refuse(
            row,
            reasons.NOT_READY,
            f"{asked.node_id} did not fetch the log within {FOLLOW_WAIT:.0f} seconds.",
            0,
        )
    elif proof is not None:
        _note(row, sentence=f"{asked.node_id} has executed up to {proof.executed}.")


def _order(row: MembershipChange) -> None:
    """Sends the stored bytes; or builds, stores, then sends them. Temporary failures are retried."""
    try:
        if not row.content and not _prepare(row):
            return  # cancelled meanwhile
        change = canonical.decode(Change, bytes(row.content))
        began = order(change, actor=row.actor, nonce=_nonce(row, str(row.attempt)).encode())
    except TicketError as error:
        if isinstance(error, Unavailable) or error.code not in AGAIN or row.attempt >= ATTEMPTS_MAX:
            raise  # unavailable: earlier sent bytes may still be ordered, so they are kept
        row.attempt += not row.content  # refused before anything was stored to be sent
        row.content = b""
        row.save(update_fields=["attempt", "content"])
        _note(row, code=error.code, sentence=f"{error} Trying again.")
        time.sleep(ATTEMPT_PAUSE)
        return
    asked = request_of(row)
    newcomers.settle(
        joined=asked.node_id if asked.own and asked.change != "rotate" else "",
        left=asked.leaving,
    )
    if asked.leaving:
        newcomers.retire(asked.leaving, _asker(row))
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
    """Build and store the bytes of the next attempt; False if the change was cancelled."""
    change = _build(row)
    row.attempt, row.content = row.attempt + 1, canonical.encode_trimmed(change)
    wanted = MembershipChange.objects.filter(pk=row.pk, cancelled=False)
    return bool(wanted.update(attempt=row.attempt, content=row.content))


def _build(row: MembershipChange) -> Change:
    """The change as of now, with fresh liveness proofs."""
    asked, network = request_of(row), gateway()
    key = bytes(32)
    if asked.own:
        folder = newcomers.folder_of(asked.node_id)
        path = folder.next_key if asked.change == "rotate" else folder.key
        key = public_key_of(read_seed(path))
    keys = incoming_keys(asked, key)
    proofs = gather_liveness_proofs(
        network, without=asked.leaving, keys=keys, versions=asked.raises, wait=newcomers.PROOFS_WAIT
    )
    now = network.present
    if asked.liveness_proof:
        proofs.append(read_proof(asked.liveness_proof))
    elif newcomers.follows_first(asked):
        proofs += [proof] if (proof := newcomers.proof_of(asked, network)) else []
    change = change_of(now, asked, key=key, place=(row.host, row.port), proofs=tuple(proofs))
    change_limits.refuse_standstill(now, change)
    change_limits.refuse_version(now, change)
    return change


def _take_back(row: MembershipChange) -> None:
    """Nothing of it was sent: stops a newcomer of ours, and deletes a next key that will not be used."""
    asked = request_of(row)
    if asked.own:
        newcomers.give_up(asked, gateway())
    _note(
        row,
        state=ChangeState.CANCELLED,
        code=CANCELLED,
        sentence="Cancelled before anything was sent to the cluster.",
        finished_at=timezone.now(),
    )


def _refuse(row: MembershipChange, code: str, sentence: str, sequence: int) -> None:
    asked = request_of(row)
    if asked.own:
        newcomers.give_up(asked, gateway())
    _note(
        row,
        state=ChangeState.REFUSED,
        code=code,
        sentence=sentence,
        sequence=sequence,
        finished_at=timezone.now(),
    )


def _note(row: MembershipChange, **changed: Any) -> None:
    """Write the changed fields in one update, and log it if the state changed."""
    if all(getattr(row, name) == value for name, value in changed.items()):
        return
    moved = "state" in changed and changed["state"] != row.state
    for name, value in changed.items():
        setattr(row, name, value)
    row.save(update_fields=[*changed])
    if moved:
        logger.info("change %s (%s): %s. %s", row.pk, row, row.state, row.sentence)
        node_list.tell(row)


def _asker(row: MembershipChange) -> newcomers.Asker:
    """Requests the operations around a change; repeating one has no further effect."""
    return lambda command, step: decide(
        [Request(command, nonce=_nonce(row, step).encode())], actor=row.actor
    )[0]


def _nonce(row: MembershipChange, step: str) -> str:
    """The nonce of one operation of a change (R13): different from those of every other change and
    attempt."""
    return hashlib.sha256(f"{row.actor}\0{row.nonce}\0{step}".encode()).hexdigest()
