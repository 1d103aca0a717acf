"""/locks: the locks of the cluster, ordered through this platform's gateway, listed from its copy."""

from __future__ import annotations

from dtvn.api.answers import Answer
from dtvn.api.calls import Call
from dtvn.api.lock_lists import answer_locks, read_locks_query
from dtvn.api.locks import VERBS, LockBody, answer_lock
from dtvn.api.ordering import Decision
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger.lock_rows import LockReader
from validators.rest.http import OWN_WRITES_WAIT, Handler, own_writes
from validators.services.decide import decide
from validators.services.network import gateway

_copy = LockReader(LEARNER_ALIAS)


def list_locks(call: Call) -> Answer:
    """List the locks of one event that are held; `limit`, `after`, `name`, `event`."""
    query = read_locks_query(call.query)
    return answer_locks(call, _copy, query, own_writes(call))


def lock_operation(verb: str) -> Handler:
    """The handler of one verb."""

    def operate(call: Call, body: LockBody) -> Answer:
        """Have the operation ordered and return the cluster's decision."""
        request = body.ordered_for(call.actor, call.idempotency_key)
        (decision,) = decide([request], actor=call.actor)
        _catch_up(decision)
        principal, _, _ = gateway().principal.partition("#")
        return answer_lock(verb, body, decision, _copy, principal=principal)

    operate.__annotations__["body"] = VERBS[verb]  # what the mount parses, and the document shows
    return operate


def _catch_up(decision: Decision) -> None:
    """Wait until the platform's copy includes the decision, if only its code is known and the lock must be
    read."""
    if decision.result.sequence and not decision.result.state:
        feed.wait_for(decision.result.sequence, OWN_WRITES_WAIT)
