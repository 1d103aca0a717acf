"""The kinds of operations: one module each, and the table of them all.

A new kind is a module of this folder that declares its KIND (kind.py says what belongs to one), and its line
in the table. Servers, pages, feed and documentation read the table. A kind that moves tickets along their
states also needs its row in transitions.py. How often the simulator asks for it, and which answers are right,
stand in simulator/workload.py and simulator/checkers/linearizable.py, which do not read the table.
"""

from collections.abc import Callable
from typing import Any

from dtvn.machine.fields import Command
from dtvn.machine.kinds import (
    acquire,
    add_principal,
    admit,
    annul,
    barrier,
    block,
    cancel_lock,
    change,
    consume,
    dispute,
    force,
    grant,
    import_entry,
    issue,
    limit_principal,
    lock,
    open_session,
    reconfigure,
    record,
    release,
    renew,
    replace,
    resolve,
    revoke_principal,
    rotate_principal,
    seed,
    set_event,
    unblock,
    unlock,
    validate,
)
from dtvn.machine.kinds.kind import Act as Act
from dtvn.machine.kinds.kind import Kind as Kind
from dtvn.machine.kinds.kind import Rest as Rest

KINDS: dict[str, Kind] = {}
"""Name -> kind of operation, in the order of the documentation."""
KIND_OF: dict[type[Command], str] = {}
"""Class of the commands -> name of their kind."""
CAPABILITY: dict[str, str] = {}
"""Kind -> capability that its signer needs; kinds that need none are not in it."""
EVENTLESS: set[str] = set()
"""Kinds whose `event` is ""."""
TICKETLESS: set[str] = set()
"""Kinds whose `ticket` is ""."""
NAMING: set[str] = set()
"""Kinds that name a ticket: their outcomes contain its state."""
CODED: dict[str, Callable[[Any, bytes], Command]] = {}
"""Kind whose operations may name a ticket by a code -> its Kind.with_code."""
OPERATIONS: dict[str, Rest] = {}
"""Kind -> how REST offers it, for those that it offers."""
ACTS: dict[str, tuple[Kind, Act]] = {}
"""Name of what people do with tickets -> the kind of operation, and what it is."""


def register(kind: Kind) -> None:
    """Add a kind to the table. What is made of the table at import, as routes are, must be imported later."""
    KINDS[kind.name] = kind
    KIND_OF[kind.command] = kind.name
    if kind.rest is not None:
        OPERATIONS[kind.name] = kind.rest
    ACTS.update((act.name, (kind, act)) for act in kind.acts)
    if kind.capability:
        CAPABILITY[kind.name] = kind.capability
    if kind.names == "nothing":
        EVENTLESS.add(kind.name)
    if kind.with_code is not None:
        CODED[kind.name] = kind.with_code
    (NAMING if kind.names == "ticket" else TICKETLESS).add(kind.name)


def about(*subjects: str) -> frozenset[str]:
    """Names of the kinds with one of these subjects."""
    return frozenset(name for name, kind in KINDS.items() if kind.subject in subjects)


for module in (
    open_session,
    barrier,
    issue,
    seed,
    validate,
    consume,
    admit,
    annul,
    force,
    dispute,
    resolve,
    set_event,
    block,
    unblock,
    replace,
    change,
    import_entry,
    add_principal,
    rotate_principal,
    limit_principal,
    revoke_principal,
    grant,
    reconfigure,
    record,
    acquire,
    release,
    lock,
    renew,
    unlock,
    cancel_lock,
):
    register(module.KIND)
