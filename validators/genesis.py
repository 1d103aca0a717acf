"""Genesis: who the members and principals are, the parameters, and the cluster's name for ever.

The cluster id is the hash of these bytes and is inside every signature (R1), so two clusters with
the same keys never accept each other's messages (PITFALLS row 10).
"""

from __future__ import annotations

import re

import msgspec

from validators import canonical, quorum

__all__ = [
    "ANY_EVENT",
    "CAPABILITIES",
    "Genesis",
    "GenesisError",
    "Grant",
    "Member",
    "PRINCIPAL_NAME",
    "Parameters",
    "Principal",
    "check",
    "check_terms",
    "cluster_id",
    "decode",
    "encode",
]

ANY_EVENT = "*"
CAPABILITIES = ("issue", "operate", "gate", "admin")
"""What a principal may do in an event (R15): issue tickets, operate (validate, dispute, resolve),
gate (consume, admit), admin (seed, principals, membership)."""


PRINCIPAL_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Pattern of a principal's name. No "#": that parts a rotated key's generation from its name on the wire."""


class GenesisError(ValueError):
    """A genesis that no node may start from; the text names field, value and rule."""


class Member(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One validator. `id` is its name; `public_key` 32 bytes Ed25519 (its CURVE key derives from it)."""

    id: str
    public_key: bytes
    host: str
    port: int
    """TCP port of the ZeroMQ socket."""


class Grant(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One capability in one event, or in ANY_EVENT."""

    event: str
    capability: str


class Principal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A signer of requests: gateway, organiser, gate, learner (a learner needs no grants)."""

    name: str
    public_key: bytes
    grants: tuple[Grant, ...]


class Parameters(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Protocol parameters that all replicas must share (R20). Times in microseconds."""

    checkpoint_interval: int = 10
    drift_bound: int = 2_000_000
    view_timeout: int = 800_000
    sessions_max: int = 1_024
    nonces_max: int = 1_000_000
    batch_operations_max: int = 1_000
    batch_bytes_max: int = 512 * 1024


class Genesis(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Members in order of their index; principals sorted by name."""

    name: str
    created_at: int
    """Unix microseconds; only to tell clusters apart."""
    members: tuple[Member, ...]
    principals: tuple[Principal, ...]
    parameters: Parameters
    demo: bool
    """True: `seed` works and keys may be made by one hand."""
    protocol_version: int = 1

    def index_of(self, member_id: str) -> int:
        """Index of a member; raise KeyError when it is none."""
        for index, member in enumerate(self.members):
            if member.id == member_id:
                return index
        raise KeyError(member_id)


def cluster_id(genesis: Genesis) -> bytes:
    """32 bytes: the hash that stands for this cluster in every signature."""
    return canonical.tagged_digest("dtvn/v1/genesis", encode(genesis))


def encode(genesis: Genesis) -> bytes:
    """Canonical bytes of a genesis."""
    return canonical.encode(genesis)


def decode(data: bytes) -> Genesis:
    """Decode and check; raise GenesisError with a sentence."""
    try:
        genesis = canonical.decode(Genesis, data)
    except canonical.CanonicalError as error:
        raise GenesisError(str(error)) from error
    check(genesis)
    return genesis


def check(genesis: Genesis) -> None:
    """Raise GenesisError unless a cluster can run from this."""
    count = len(genesis.members)
    if not 1 <= count <= quorum.MEMBERS_MAX:
        raise GenesisError(f"members: a cluster has 1 to {quorum.MEMBERS_MAX}, not {count}")
    _check_unique("members", [member.id for member in genesis.members])
    _check_unique("principals", [principal.name for principal in genesis.principals])
    if shared := {m.id for m in genesis.members} & {p.name for p in genesis.principals}:
        raise GenesisError(f"principals: {min(shared)!r} names a member and a principal")
    keys = [m.public_key for m in genesis.members] + [p.public_key for p in genesis.principals]
    if len(set(keys)) != len(keys):
        raise GenesisError("public_key: two members or principals share a key")
    if any(len(key) != 32 for key in keys):
        raise GenesisError("public_key: an Ed25519 key has 32 bytes")
    names = [principal.name for principal in genesis.principals]
    if names != sorted(names):
        raise GenesisError("principals: must be sorted by name")
    for principal in genesis.principals:
        _check_principal(principal)
    check_terms(genesis.name, genesis.parameters)


def _check_principal(principal: Principal) -> None:
    if re.fullmatch(PRINCIPAL_NAME, principal.name) is None:
        raise GenesisError(
            f"principals: {principal.name!r} is no name: 1 to 64 of A-Z a-z 0-9 . _ -, no sign first"
        )
    for grant in principal.grants:
        if grant.capability not in CAPABILITIES:
            raise GenesisError(f"grants: {grant.capability!r} is none of {', '.join(CAPABILITIES)}")
        if not grant.event:
            # What names no event (principals, membership) asks for "": such a grant would rule unseen.
            raise GenesisError(f"grants: an event has a name, or is {ANY_EVENT!r} for all")


def check_terms(name: str, parameters: Parameters) -> None:
    """Raise GenesisError unless a cluster may have this name and these parameters."""
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise GenesisError("name: a cluster's name has 1 to 64 printable characters")
    _check_parameters(parameters)


def _check_unique(field: str, names: list[str]) -> None:
    if len(set(names)) != len(names):
        raise GenesisError(f"{field}: a name stands twice")
    if any(not name or len(name) > 64 for name in names):
        raise GenesisError(f"{field}: a name has 1 to 64 characters")


def _check_parameters(parameters: Parameters) -> None:
    limits = {
        "checkpoint_interval": (1, 10_000),
        "drift_bound": (1_000, 600_000_000),
        "view_timeout": (50_000, 60_000_000),
        "sessions_max": (4, 100_000),
        "nonces_max": (100, 10_000_000),
        "batch_operations_max": (1, 10_000),
        "batch_bytes_max": (4_096, 4 * 1024 * 1024),
    }
    for field, (low, high) in limits.items():
        value = getattr(parameters, field)
        if not low <= value <= high:
            raise GenesisError(f"parameters.{field}: {value} is not between {low} and {high}")
