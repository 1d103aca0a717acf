"""Genesis: the first members and principals, the parameters, and the permanent name of the cluster.

The cluster id is the hash of the encoded genesis and is part of every signature (R1), so two clusters with
the same keys never accept each other's messages (P10).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import msgspec

from dtvn.protocol import canonical, quorum, versions
from dtvn.protocol.quorum import Mode
from dtvn.protocol.signatures import PUBLIC_KEY_SIZE, is_public_key

ANY_EVENT = "*"
CAPABILITIES = ("issue", "operate", "gate", "admin", "record", "lock", "supervise")
"""Capabilities of a principal in an event (R15): issue tickets, operate (validate, dispute, resolve),
gate (consume, admit), admin (seed, principals, membership), record (verdicts on runs of agent events),
lock (locks and leadership), supervise (force, annul later; `admin` gives it too)."""


PRINCIPAL_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Pattern of a principal's name. It excludes "#", which separates the name from the generation of a rotated
key on the wire."""

EVENT_NAME = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
"""Pattern of an event's name in operations."""


STATEMENT_BYTES_MAX = 220
"""Upper bound of a signed vote's frame: digest, signature, integers and framing."""

VIEW_CHANGE_BYTES_MAX = 8 * 1024 * 1024
"""Most bytes of a VIEW-CHANGE, the largest message, out of the wire limit of 10 MiB (R20)."""

POOL_OPERATIONS_MAX = 20_000
"""Most operations that wait at one replica to be ordered (consensus.config)."""
POOL_CLIENT_SHARE = 4
"""One session may hold at most 1/4 of them."""

BOUNDS = {
    "checkpoint_interval": (1, 10_000),
    # With a lower value no two clocks agree: nothing could be ordered, not even the change back.
    "drift_bound": (100_000, 600_000_000),
    "view_timeout": (50_000, 60_000_000),
    "sessions_max": (4, 100_000),
    "nonces_max": (100, 10_000_000),
    # A request as large as a batch must fit the pool, or it would be answered `busy` for ever.
    "batch_operations_max": (1, POOL_OPERATIONS_MAX // POOL_CLIENT_SHARE),
    # A change with the liveness proofs of 31 members with the longest names must always fit.
    "batch_bytes_max": (6_000, 4 * 1024 * 1024),
    "version": (versions.FIRST, 2**31),
}
"""Least and largest value of each parameter. The limit of `checkpoint_interval` also depends on the number of
members (`check_terms`)."""

PORT_MAX = 65_535
HOST_MAX = 253
_DNS_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DNS_NAME = re.compile(rf"(?:{_DNS_LABEL}\.)*(?![0-9]+$){_DNS_LABEL}")


class GenesisError(ValueError):
    """An invalid genesis, from which no node may start; the text names field, value and rule."""


class Member(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One validator. `id` is its name; `public_key` is an Ed25519 key of 32 bytes (its CURVE key derives from
    it)."""

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
    """Protocol parameters that all replicas must share (R20). Times are in microseconds."""

    checkpoint_interval: int = 10
    drift_bound: int = 2_000_000
    view_timeout: int = 800_000
    sessions_max: int = 1_024
    nonces_max: int = 1_000_000
    batch_operations_max: int = 1_000
    batch_bytes_max: int = 512 * 1024
    version: int = versions.FIRST
    """The cluster's version (R47); a raise changes it alone. Later field."""

    first_form: ClassVar[int] = 7


PROPOSED = tuple(name for name in Parameters.__struct_fields__ if name != "version")
"""Parameters that people propose; the version is the newest of the program that founds (R47)."""


class Genesis(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The genesis of a cluster: members in order of their index, principals sorted by name."""

    name: str
    created_at: int
    """Unix microseconds; used only to distinguish clusters."""
    members: tuple[Member, ...]
    principals: tuple[Principal, ...]
    parameters: Parameters
    demo: bool
    """True: `seed` works, and one party may make all keys."""
    protocol_version: int = 1

    first_form: ClassVar[int] = 7
    nested: ClassVar[tuple[int, ...]] = (4,)


CONTINUED_VERSION = 2
"""`protocol_version` of a genesis that continues another cluster: its form has one more field."""


class Signer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A member of the old cluster that signed its last certified state."""

    id: str
    public_key: bytes


class Continued(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last certified state of an old cluster, a stable checkpoint, with which a new one begins (R11).

    Not all members of the old cluster signed it, so outcomes that they acknowledged above `sequence` may be
    lost.
    """

    cluster: bytes
    """Cluster id of the old cluster, 32 bytes."""
    epoch: int
    sequence: int
    """The log of the new cluster continues after it."""
    state_root: bytes
    log_root: bytes
    timestamp: int
    """Last effective timestamp, Unix microseconds."""
    signers: tuple[Signer, ...]
    """Members that signed the checkpoint, in order of their index in that epoch."""


class ContinuedGenesis(Genesis, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """Genesis of form 2, which has eight fields. Form 1 has seven, and keeps its bytes and cluster ids."""

    continues: Continued

    first_form: ClassVar[int] = 8


CHOSEN_VERSION = 3
"""`protocol_version` of a genesis that names the mode of its cluster."""


class ChosenGenesis(Genesis, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """Genesis of form 3, which has nine fields: of a cluster whose mode is not PBFT (R44).

    Forms 1 and 2 do not name a mode and mean PBFT. A program that does not know this form refuses it as a
    whole, and it must: it would count the votes of such a cluster wrongly.
    """

    continues: Annotated[tuple[Continued, ...], msgspec.Meta(max_length=1)]
    consensus: str
    """A word of quorum.Mode."""

    first_form: ClassVar[int] = 9


def mode(genesis: Genesis) -> Mode:
    """How the members agree (R44). The genesis must be one that `check` accepts."""
    return Mode(genesis.consensus) if isinstance(genesis, ChosenGenesis) else Mode.PBFT


def continued(genesis: Genesis) -> Continued | None:
    """The state that a cluster continues; None if it begins empty."""
    if isinstance(genesis, ChosenGenesis):
        return genesis.continues[0] if genesis.continues else None
    return genesis.continues if isinstance(genesis, ContinuedGenesis) else None


def first_sequence(genesis: Genesis) -> int:
    """The first sequence of the cluster's log."""
    continues = continued(genesis)
    return 1 if continues is None else continues.sequence + 1


def continuing(genesis: Genesis, continues: Continued) -> ContinuedGenesis | ChosenGenesis:
    """The same genesis and mode, but continuing another cluster."""
    if isinstance(genesis, ChosenGenesis):
        return msgspec.structs.replace(genesis, continues=(continues,))
    fields = _first_fields(genesis)
    return ContinuedGenesis(**{**fields, "protocol_version": CONTINUED_VERSION}, continues=continues)


def agreeing_by(genesis: Genesis, consensus: Mode) -> Genesis:
    """The same genesis of form 1, for a cluster of this mode."""
    if consensus is Mode.PBFT:
        return genesis
    fields = {**_first_fields(genesis), "protocol_version": CHOSEN_VERSION}
    return ChosenGenesis(**fields, continues=(), consensus=consensus.value)


def _first_fields(genesis: Genesis) -> dict[str, Any]:
    return {name: getattr(genesis, name) for name in Genesis.__struct_fields__}


def make_genesis(
    *,
    name: str,
    created_at: int,
    members: Iterable[Member],
    principals: Iterable[Principal],
    parameters: Parameters,
    demo: bool,
    protocol_version: int = 1,
    continues: Continued | None = None,
    consensus: Mode = Mode.PBFT,
) -> Genesis:
    """The genesis of a cluster, principals in any order; raise GenesisError unless a cluster can run with it.
    `continues`: the state of another cluster that it begins with. `consensus`: how its members agree. Every
    new genesis is made here."""
    ordered = tuple(sorted(principals, key=lambda principal: principal.name))
    plain = Genesis(name, created_at, tuple(members), ordered, parameters, demo, protocol_version)
    genesis = agreeing_by(plain, consensus)
    if continues is not None:
        genesis = continuing(genesis, continues)
    check(genesis)
    return genesis


def cluster_id(genesis: Genesis) -> bytes:
    """32-byte hash that identifies this cluster in every signature."""
    return canonical.tagged_digest("dtvn/v1/genesis", encode(genesis))


def encode(genesis: Genesis) -> bytes:
    """Canonical bytes of a genesis."""
    return canonical.encode_trimmed(genesis)


def decode(data: bytes) -> Genesis:
    """Decode and check a genesis; raise GenesisError with a sentence if it is invalid."""
    try:
        genesis = canonical.decode(form(data), data)
    except canonical.CanonicalError as error:
        raise GenesisError(str(error)) from error
    check(genesis)
    return genesis


def form(data: bytes) -> type[Genesis]:
    """The form in which these bytes must be read, by their number of fields."""
    return _FORMS.get(data[:1], Genesis)


_FORMS: dict[bytes, type[Genesis]] = {b"\x98": ContinuedGenesis, b"\x99": ChosenGenesis}
"""First byte of a genesis, an array of eight or nine fields -> its form; all others are read as form 1."""


def check(genesis: Genesis) -> None:
    """Raise GenesisError unless a cluster can run with this genesis."""
    check_terms(genesis.name, genesis.parameters, len(genesis.members))
    consensus = genesis.consensus if isinstance(genesis, ChosenGenesis) else None
    if consensus is not None:
        check_consensus(consensus, genesis.protocol_version)
    if (continues := continued(genesis)) is not None:
        check_continued(continues, genesis.protocol_version, consensus)
    _check_unique("members", [member.id for member in genesis.members])
    _check_unique("principals", [principal.name for principal in genesis.principals])
    if shared := {m.id for m in genesis.members} & {p.name for p in genesis.principals}:
        raise GenesisError(f"principals: {min(shared)!r} names a member and a principal")
    keys = [m.public_key for m in genesis.members] + [p.public_key for p in genesis.principals]
    if len(set(keys)) != len(keys):
        raise GenesisError("public_key: two members or principals share a key")
    if any(len(key) != PUBLIC_KEY_SIZE for key in keys):
        raise GenesisError("public_key: an Ed25519 key has 32 bytes")
    if wrong := [key for key in keys if not is_public_key(key)]:
        raise GenesisError(f"public_key: {wrong[0].hex()} is not an Ed25519 key")
    for member in genesis.members:
        if not is_host(member.host):
            raise GenesisError(f"host: {member.host[:64]!r} is neither an IP address nor a DNS name")
        if not 1 <= member.port <= PORT_MAX:
            raise GenesisError(f"port: {member.port} of {member.id!r} is not between 1 and {PORT_MAX}")
    names = [principal.name for principal in genesis.principals]
    if names != sorted(names):
        raise GenesisError("principals: must be sorted by name")
    for principal in genesis.principals:
        _check_principal(principal)


def check_consensus(consensus: str, version: int) -> None:
    """Raise GenesisError unless a genesis of this version can name this mode. PBFT is not named: each cluster
    of it has one form, and one cluster id."""
    if consensus != Mode.RAFT:
        raise GenesisError(
            f"consensus: {consensus[:32]!r} is no mode that a genesis of version {CHOSEN_VERSION} names; "
            f"it names {Mode.RAFT.value!r}, and one that means {Mode.PBFT.value!r} names none"
        )
    if version != CHOSEN_VERSION:
        raise GenesisError(
            f"protocol_version: a cluster that names its mode has {CHOSEN_VERSION}, not {version}"
        )


def check_continued(continues: Continued, version: int, consensus: str | None) -> None:
    """Raise GenesisError unless a genesis of this version can continue from this state. `consensus`: the mode
    that it names, if it names one; its version was checked with that."""
    if consensus is None and version != CONTINUED_VERSION:
        raise GenesisError(f"protocol_version: a cluster that continues another has 2, not {version}")
    hashes = (continues.cluster, continues.state_root, continues.log_root)
    if any(len(each) != canonical.HASH_SIZE for each in hashes):
        raise GenesisError("continues: cluster id, state root and log root have 32 bytes")
    numbers = (continues.epoch, continues.sequence, continues.timestamp)
    if not all(0 <= number <= 2**62 for number in numbers) or not continues.sequence:
        raise GenesisError("continues: epoch, sequence and timestamp are not a place in a log")
    if not 1 <= len(continues.signers) <= quorum.MEMBERS_MAX:
        raise GenesisError("continues: nobody signed that state, or more than a cluster has")
    _check_unique("continues.signers", [signer.id for signer in continues.signers])
    keys = {signer.public_key for signer in continues.signers}
    if len(keys) != len(continues.signers) or any(len(key) != PUBLIC_KEY_SIZE for key in keys):
        raise GenesisError("continues.signers: each has an Ed25519 key of its own")


def _check_principal(principal: Principal) -> None:
    if re.fullmatch(PRINCIPAL_NAME, principal.name) is None:
        raise GenesisError(
            f"principals: {principal.name!r} is not 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first"
        )
    for grant in principal.grants:
        check_grant(grant)


def check_grant(grant: Grant) -> None:
    """Raise GenesisError unless the grant has a known capability and a valid event name. A party that
    seals a grant must be able to read it, and another party's event name could contain terminal control
    characters."""
    if grant.capability not in CAPABILITIES:
        raise GenesisError(f"grants: {grant.capability[:32]!r} is not one of {', '.join(CAPABILITIES)}")
    # Operations without an event (principals, membership) check for "": such a grant would go unnoticed.
    if grant.event != ANY_EVENT and re.fullmatch(EVENT_NAME, grant.event) is None:
        raise GenesisError(f"grants: {grant.event[:64]!r} names no event, nor is it {ANY_EVENT!r} for all")


def grant_of(text: str) -> Grant:
    """The grant that a person wrote: `EVENT:CAPABILITY`, or `CAPABILITY` alone for all events. The form
    `CAPABILITY:EVENT` is understood as well where it cannot mean the other. Raises GenesisError."""
    before, colon, after = text.rpartition(":")
    grant = Grant(before if colon else ANY_EVENT, after)
    if after not in CAPABILITIES and before in CAPABILITIES:
        grant = Grant(after, before)
    check_grant(grant)
    return grant


def is_host(text: str) -> bool:
    """Whether the text is a host that can be dialled: an IP address without a zone, or a DNS name (RFC 1123:
    labels of letters, digits and inner hyphens; the last label is not a number)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= HOST_MAX and _DNS_NAME.fullmatch(text) is not None
    return "%" not in text


def window(parameters: Parameters) -> int:
    """L: sequences above the stable checkpoint that may be open (R20)."""
    return max(2 * parameters.checkpoint_interval, 32)


def watermark_span(parameters: Parameters) -> int:
    """Number of sequences above its stable checkpoint for which a replica accepts messages: the primary's
    checkpoint may be one newer (consensus.config)."""
    return window(parameters) + parameters.checkpoint_interval


def view_change_bytes(members: int, span: int) -> int:
    """Upper bound of a VIEW-CHANGE in bytes: a PRE-PREPARE and q - 1 PREPAREs for each of `span` sequences,
    and the size of one more statement per sequence for the rest (R20). It is the bound of PBFT in every mode:
    with Raft there is no VIEW-CHANGE, and terms that are possible in one mode are so in the other."""
    return span * (quorum.quorum(members, Mode.PBFT) + 1) * STATEMENT_BYTES_MAX


def check_terms(name: str, parameters: Parameters, members: int) -> None:
    """Raise GenesisError unless a cluster of `members` members can run with this name and these parameters.

    All unusable terms are refused here: for a genesis that is proposed, joined, sealed or loaded, and for a
    change of members or parameters.
    """
    if not 1 <= members <= quorum.MEMBERS_MAX:
        raise GenesisError(f"members: a cluster has 1 to {quorum.MEMBERS_MAX}, not {members}")
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise GenesisError("name: a cluster's name has 1 to 64 printable characters")
    for field, (low, high) in BOUNDS.items():
        value = getattr(parameters, field)
        if not low <= value <= high:
            raise GenesisError(f"parameters.{field}: {value} is not between {low} and {high}")
    size = view_change_bytes(members, watermark_span(parameters))
    if size > VIEW_CHANGE_BYTES_MAX:
        raise GenesisError(
            f"parameters.checkpoint_interval: {parameters.checkpoint_interval} is too long for a cluster of "
            f"{members}: a VIEW-CHANGE could have {size} bytes, over the {VIEW_CHANGE_BYTES_MAX} that it may"
        )


def _check_unique(field: str, names: list[str]) -> None:
    if len(set(names)) != len(names):
        raise GenesisError(f"{field}: a name stands twice")
    if any(not name or len(name) > 64 for name in names):
        raise GenesisError(f"{field}: a name has 1 to 64 characters")
