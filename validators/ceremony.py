"""Genesis by several parties: signed records, one file that all of them seal (DESIGN section 6).

    terms      what one party proposes: name, parameters
    records    one per party: its member and its principals, signed by every key in it
    seals      each member's signature over the cluster id, that is over the finished genesis

No key leaves its owner's host. The file grows by `merge`, in whatever order parties pass it on; the
genesis follows from terms and records alone, so everybody who holds all records holds the same genesis.
The terms say how many members there will be, so that nobody seals before all have joined.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from validators import canonical
from validators import genesis as g
from validators.wire.scheme import ED25519

__all__ = [
    "FILE_BYTES_MAX",
    "Ceremony",
    "ContinuedTerms",
    "Party",
    "Record",
    "Seal",
    "Terms",
    "begin",
    "check_address",
    "check_terms",
    "decode",
    "encode",
    "format_of",
    "founded",
    "merge",
    "missing",
    "open_genesis",
    "party_bytes",
    "read",
    "seal_bytes",
    "with_record",
    "with_seal",
]

FORMAT = "dtvn-genesis-1"
CONTINUED_FORMAT = "dtvn-genesis-2"
"""Of a cluster that continues another one: its terms have one field more."""
FILE_BYTES_MAX = 1024 * 1024
PRINCIPALS_MAX = 16
"""Principals that one party may bring."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Terms(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the founding party proposes; everybody's record names its hash."""

    name: str
    created_at: int
    """Unix microseconds; only to tell clusters apart."""
    members: int
    """How many parties there will be."""
    parameters: g.Parameters
    protocol_version: int = 1

    @property
    def digest(self) -> bytes:
        """32 bytes that stand for these terms."""
        return canonical.tagged_digest("dtvn/v1/genesis-terms", canonical.encode(self))


class ContinuedTerms(Terms, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """Terms of a cluster that begins with the last certified state of another one (R11)."""

    continues: g.Continued


class Party(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one party brings into the cluster."""

    terms: bytes
    """Digest of the terms it agrees to."""
    member: g.Member
    principals: tuple[g.Principal, ...]
    """Sorted by name; with no grants unless all others seal them too (R15)."""


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A party's word, signed by its member key and then by each principal's key: nobody can list a key
    that is not his."""

    party: Party
    signatures: tuple[bytes, ...]


class Seal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A member's signature over the cluster id."""

    member: str
    signature: bytes


class Ceremony(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The file that parties pass around; sealed when every member has signed."""

    format: str
    terms: Terms
    records: tuple[Record, ...]
    """Ascending by member id, which is the order of the members in genesis."""
    seals: tuple[Seal, ...]
    """Ascending by member id."""


class _ContinuedCeremony(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How a Ceremony with ContinuedTerms is read."""

    format: str
    terms: ContinuedTerms
    records: tuple[Record, ...]
    seals: tuple[Seal, ...]


def check_terms(terms: Terms) -> None:
    """Raise GenesisError unless a cluster may have these terms."""
    g.check_terms(terms.name, terms.parameters, terms.members)
    if isinstance(terms, ContinuedTerms):
        g.check_continued(terms.continues, terms.protocol_version)


def check_address(member: str, host: str, port: int) -> None:
    """Raise GenesisError unless others could dial it."""
    if not g.is_host(host) or not 1 <= port <= g.PORT_MAX:
        raise g.GenesisError(f"records: {member[:64]!r} gives no address that others could dial")


def begin(terms: Terms) -> Ceremony:
    """A file that nobody has joined yet; raise GenesisError on terms that cannot be."""
    check_terms(terms)
    return Ceremony(format=format_of(terms), terms=terms, records=(), seals=())


def format_of(terms: Terms) -> str:
    """The first field of a file with these terms."""
    return CONTINUED_FORMAT if isinstance(terms, ContinuedTerms) else FORMAT


def party_bytes(party: Party) -> bytes:
    """What the signatures of a record cover."""
    return b"dtvn/v1/genesis-party\0" + canonical.encode(party)


def seal_bytes(genesis: g.Genesis) -> bytes:
    """What a seal covers."""
    return b"dtvn/v1/genesis-seal\0" + g.cluster_id(genesis)


def encode(ceremony: Ceremony) -> bytes:
    """Canonical bytes of the file."""
    return canonical.encode(ceremony)


def read(data: bytes) -> Ceremony:
    """The file of either form, nothing in it checked; raise CanonicalError."""
    if not data.startswith(_HEADS[1]):
        return canonical.decode(Ceremony, data)
    found = canonical.decode(_ContinuedCeremony, data)
    return Ceremony(found.format, found.terms, found.records, found.seals)


def decode(data: bytes) -> Ceremony:
    """Decode and check all signatures in it; raise GenesisError with a sentence."""
    if len(data) > FILE_BYTES_MAX:
        raise g.GenesisError(f"a file of {len(data)} bytes is no genesis")
    try:
        ceremony = read(data)
    except canonical.CanonicalError as error:
        raise g.GenesisError(str(error)) from error
    if ceremony.format != format_of(ceremony.terms):
        raise g.GenesisError(f"format {ceremony.format[:32]!r} is not {format_of(ceremony.terms)}")
    check_terms(ceremony.terms)
    for record in ceremony.records:
        _check_record(record, ceremony.terms)
    if len(ceremony.records) > ceremony.terms.members:
        raise g.GenesisError(f"records: more than the {ceremony.terms.members} parties of the terms")
    ids = [record.party.member.id for record in ceremony.records]
    if ids != sorted(set(ids)):
        raise g.GenesisError("records: not one per member, ascending by id")
    _check_places(ceremony.records)
    sealed = [seal.member for seal in ceremony.seals]
    if sealed != sorted(set(sealed)):
        raise g.GenesisError("seals: not one per member, ascending by id")
    if ceremony.seals:
        genesis = founded(ceremony)
        for seal in ceremony.seals:
            if not _seals(seal, genesis):
                raise g.GenesisError(f"seals: the seal of {seal.member!r} is not of this genesis")
    return ceremony


def founded(ceremony: Ceremony) -> g.Genesis:
    """The genesis of terms and records; raise GenesisError before all have joined."""
    terms = ceremony.terms
    if len(ceremony.records) != terms.members:
        raise g.GenesisError(f"records: {len(ceremony.records)} of {terms.members} parties have joined")
    principals = [principal for record in ceremony.records for principal in record.party.principals]
    genesis = g.Genesis(
        name=terms.name,
        created_at=terms.created_at,
        members=tuple(record.party.member for record in ceremony.records),
        principals=tuple(sorted(principals, key=lambda principal: principal.name)),
        parameters=terms.parameters,
        demo=False,
        protocol_version=terms.protocol_version,
    )
    if isinstance(terms, ContinuedTerms):
        genesis = g.continuing(genesis, terms.continues)
    g.check(genesis)
    return genesis


def missing(ceremony: Ceremony) -> list[str]:
    """Ids of the members that joined and have not sealed yet."""
    sealed = {seal.member for seal in ceremony.seals}
    return [r.party.member.id for r in ceremony.records if r.party.member.id not in sealed]


def with_record(ceremony: Ceremony, record: Record) -> Ceremony:
    """The file with one more party; raise GenesisError when it does not belong here or contradicts."""
    _check_record(record, ceremony.terms)
    records = {known.party.member.id: known for known in ceremony.records}
    name = record.party.member.id
    if records.setdefault(name, record) != record:
        raise g.GenesisError(f"records: {name!r} has joined with another record; begin again with `init`")
    return _rebuilt(ceremony.terms, records, ceremony.seals)


def with_seal(ceremony: Ceremony, seal: Seal) -> Ceremony:
    """The file with one more seal; raise GenesisError when that seals something else."""
    if not _seals(seal, founded(ceremony)):
        raise g.GenesisError(f"seals: the seal of {seal.member!r} is not of this genesis")
    records = {record.party.member.id: record for record in ceremony.records}
    return _rebuilt(ceremony.terms, records, (*ceremony.seals, seal))


def merge(first: Ceremony, second: Ceremony) -> Ceremony:
    """Both files in one; seals of another set of records fall away. Raise GenesisError when they are
    of different ceremonies or contradict each other."""
    if first.terms != second.terms:
        raise g.GenesisError(f"terms: {first.terms.name!r} and {second.terms.name!r} are two clusters")
    merged = first
    for record in second.records:
        merged = with_record(merged, record)
    records = {record.party.member.id: record for record in merged.records}
    return _rebuilt(merged.terms, records, (*first.seals, *second.seals))


def open_genesis(data: bytes) -> g.Genesis:
    """The genesis in a file, if a cluster may start from it; raise GenesisError with a sentence.

    Two forms: a file that all its members sealed, or the plain genesis of a demonstration, which one
    hand made and which says so. A plain one of several parties is refused: nobody can tell who agreed.
    """
    if not data.startswith(_HEADS):
        genesis = g.decode(data)
        if not genesis.demo:
            raise g.GenesisError("it is not sealed: take the file that `manage.py genesis seal` completed")
        return genesis
    ceremony = decode(data)
    genesis = founded(ceremony)
    if absent := missing(ceremony):
        raise g.GenesisError(f"it is not sealed yet: {', '.join(absent)} must still sign it")
    return genesis


_HEADS = tuple(
    canonical.encode((format, 0, 0, 0))[: 2 + len(format)] for format in (FORMAT, CONTINUED_FORMAT)
)


def _rebuilt(terms: Terms, records: Mapping[str, Record], seals: Iterable[Seal]) -> Ceremony:
    """The file in order; of the seals those that fit."""
    ordered = tuple(records[name] for name in sorted(records))
    bare = Ceremony(format=format_of(terms), terms=terms, records=ordered, seals=())
    _check_places(bare.records)
    if len(records) > terms.members:
        raise g.GenesisError(f"records: more than the {terms.members} parties of the terms")
    if len(records) < terms.members:
        return bare
    genesis = founded(bare)
    fitting = {seal.member: seal for seal in seals if _seals(seal, genesis)}
    return msgspec.structs.replace(bare, seals=tuple(fitting[name] for name in sorted(fitting)))


def _check_record(record: Record, terms: Terms) -> None:
    party = record.party
    name = party.member.id[:64]
    if party.terms != terms.digest:
        raise g.GenesisError(f"records: {name!r} joined on other terms")
    if len(party.principals) > PRINCIPALS_MAX:
        raise g.GenesisError(f"records: {name!r} brings more than {PRINCIPALS_MAX} principals")
    for text in (party.member.id, *(principal.name for principal in party.principals)):
        if _NAME.fullmatch(text) is None:
            raise g.GenesisError(f"records: {text[:64]!r} is no name (A-Z a-z 0-9 . _ -; 64 at most)")
    for grant in (grant for principal in party.principals for grant in principal.grants):
        g.check_grant(grant)
    check_address(party.member.id, party.member.host, party.member.port)
    keys = [party.member.public_key, *(principal.public_key for principal in party.principals)]
    if len(record.signatures) != len(keys):
        raise g.GenesisError(f"records: {name!r} must be signed by each of its {len(keys)} keys")
    data = party_bytes(party)
    for key, signature in zip(keys, record.signatures, strict=True):
        if not ED25519.verify(key, data, signature):
            raise g.GenesisError(f"records: a signature of {name!r} is not by the key that it names")


def _check_places(records: tuple[Record, ...]) -> None:
    """Two members at one address: whoever dials it reaches one of them."""
    known: dict[tuple[str, int], str] = {}
    for member in (record.party.member for record in records):
        other = known.setdefault((member.host.lower(), member.port), member.id)
        if other != member.id:
            raise g.GenesisError(
                f"records: {other!r} and {member.id!r} give one address, {member.host}:{member.port}"
            )


def _seals(seal: Seal, genesis: g.Genesis) -> bool:
    key = next((member.public_key for member in genesis.members if member.id == seal.member), None)
    return key is not None and ED25519.verify(key, seal_bytes(genesis), seal.signature)
