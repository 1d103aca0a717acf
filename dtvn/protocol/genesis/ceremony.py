"""Genesis by several parties: signed records, and one file that all parties seal.

    terms      the proposal of one party: name, parameters
    records    one per party: its member and its principals, signed by every key in it
    seals      each member's signature over the cluster id, that is over the finished genesis

No key leaves its owner's host. The file grows by `merge`, in any order in which the parties pass it on. The
genesis follows from terms and records alone, so all parties that hold all records hold the same genesis.
The terms fix the number of members, so that no member seals before all have joined.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.quorum import Mode
from dtvn.protocol.scheme import ED25519

FORMAT = "dtvn-genesis-1"
CONTINUED_FORMAT = "dtvn-genesis-2"
"""Format for a cluster that continues another one: its terms have one more field."""
CHOSEN_FORMAT = "dtvn-genesis-3"
"""Format for a cluster whose terms name its mode, and perhaps a cluster that it continues."""
FILE_BYTES_MAX = 1024 * 1024
PRINCIPALS_MAX = 16
"""Most principals that one party may bring."""

NEEDED = {"issue": "issue tickets", "gate": "admit them", "admin": "administer the cluster"}
"""Capabilities without which a cluster is of no use, and what each permits; `admin` only counts for all
events, since principals and members belong to none."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Terms(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The terms that the founding party proposes; the record of each party names their hash."""

    name: str
    created_at: int
    """Unix microseconds; used only to distinguish clusters."""
    members: int
    """Number of parties that will join."""
    parameters: g.Parameters
    protocol_version: int = 1

    first_form: ClassVar[int] = 5
    nested: ClassVar[tuple[int, ...]] = (3,)

    @property
    def digest(self) -> bytes:
        """32-byte hash of these terms."""
        return canonical.tagged_digest("dtvn/v1/genesis-terms", canonical.encode_trimmed(self))


class ContinuedTerms(Terms, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """Terms of a cluster that begins with the last certified state of another one (R11)."""

    continues: g.Continued

    first_form: ClassVar[int] = 6


class ChosenTerms(Terms, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """Terms of a cluster whose mode is not PBFT (R44)."""

    continues: Annotated[tuple[g.Continued, ...], msgspec.Meta(max_length=1)]
    consensus: str

    first_form: ClassVar[int] = 7


class Party(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The member and the principals that one party brings into the cluster."""

    terms: bytes
    """Digest of the terms that the party agrees to."""
    member: g.Member
    principals: tuple[g.Principal, ...]
    """Sorted by name; their grants take effect only if all other parties seal them too (R15)."""


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A party's entry, signed by its member key and then by each principal's key, so that no party can list a
    key that it does not own."""

    party: Party
    signatures: tuple[bytes, ...]


class Seal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A member's signature over the cluster id."""

    member: str
    signature: bytes


class Ceremony(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The file that the parties pass around; it is sealed when every member has signed."""

    format: str
    terms: Terms
    records: tuple[Record, ...]
    """Ascending by member id, which is the order of the members in genesis."""
    seals: tuple[Seal, ...]
    """Ascending by member id."""

    first_form: ClassVar[int] = 4
    nested: ClassVar[tuple[int, ...]] = (1,)


class _ContinuedCeremony(Ceremony, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The form in which a Ceremony with ContinuedTerms is decoded."""

    terms: ContinuedTerms


class _ChosenCeremony(Ceremony, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The form in which a Ceremony with ChosenTerms is decoded."""

    terms: ChosenTerms


def propose(
    name: str,
    created_at: int,
    members: int,
    parameters: g.Parameters,
    *,
    consensus: Mode,
    continues: g.Continued | None = None,
) -> Terms:
    """The terms of a new cluster; see Terms and `genesis.make_genesis` for what they name."""
    first = (name, created_at, members, parameters)
    if consensus is not Mode.PBFT:
        kept = () if continues is None else (continues,)
        return ChosenTerms(*first, g.CHOSEN_VERSION, continues=kept, consensus=consensus.value)
    if continues is not None:
        return ContinuedTerms(*first, g.CONTINUED_VERSION, continues=continues)
    return Terms(*first)


def mode(terms: Terms) -> Mode:
    """How the members of the cluster will agree; the terms must be valid."""
    return Mode(terms.consensus) if isinstance(terms, ChosenTerms) else Mode.PBFT


def continued(terms: Terms) -> g.Continued | None:
    """The state of another cluster with which this one will begin."""
    if isinstance(terms, ChosenTerms):
        return terms.continues[0] if terms.continues else None
    return terms.continues if isinstance(terms, ContinuedTerms) else None


def check_terms(terms: Terms) -> None:
    """Raise GenesisError unless the terms are valid."""
    g.check_terms(terms.name, terms.parameters, terms.members)
    consensus = terms.consensus if isinstance(terms, ChosenTerms) else None
    if consensus is not None:
        g.check_consensus(consensus, terms.protocol_version)
    if (continues := continued(terms)) is not None:
        g.check_continued(continues, terms.protocol_version, consensus)


def check_address(member: str, host: str, port: int) -> None:
    """Raise GenesisError unless other members could dial the address."""
    why = f"host {found}" if (found := g.why_not_reached(host)) else ""
    if not 1 <= port <= g.PORT_MAX:
        why = f"port must be between 1 and {g.PORT_MAX}"
    if why:
        raise g.GenesisError(f"{_unreachable(member)}: {why}")


def _unreachable(member: str) -> str:
    return f"records: {member[:64]!r} gives no address that others could dial"


def begin(terms: Terms) -> Ceremony:
    """A file that no party has joined yet; raise GenesisError if the terms are invalid."""
    check_terms(terms)
    return Ceremony(format=format_of(terms), terms=terms, records=(), seals=())


def format_of(terms: Terms) -> str:
    """The first field of a file with these terms."""
    if isinstance(terms, ChosenTerms):
        return CHOSEN_FORMAT
    return CONTINUED_FORMAT if isinstance(terms, ContinuedTerms) else FORMAT


def party_bytes(party: Party) -> bytes:
    """The bytes that the signatures of a record cover."""
    return b"dtvn/v1/genesis-party\0" + canonical.encode(party)


def seal_bytes(genesis: g.Genesis) -> bytes:
    """The bytes that a seal covers."""
    return b"dtvn/v1/genesis-seal\0" + g.cluster_id(genesis)


def encode(ceremony: Ceremony) -> bytes:
    """Canonical bytes of the file."""
    return canonical.encode_trimmed(ceremony)


def read(data: bytes) -> Ceremony:
    """Decode a file of any form without checking its content; raise CanonicalError if it is malformed."""
    if data.startswith(_HEADS[2]):
        found: _ChosenCeremony | _ContinuedCeremony = canonical.decode(_ChosenCeremony, data)
    elif data.startswith(_HEADS[1]):
        found = canonical.decode(_ContinuedCeremony, data)
    else:
        return canonical.decode(Ceremony, data)
    return Ceremony(found.format, found.terms, found.records, found.seals)


def check_size(data: bytes) -> None:
    """Raise GenesisError if the content of a file is larger than any genesis."""
    if len(data) > FILE_BYTES_MAX:
        raise g.GenesisError(f"it is too large, over {FILE_BYTES_MAX} bytes")


def decode(data: bytes) -> Ceremony:
    """Decode a file and check all signatures in it; raise GenesisError with a sentence."""
    check_size(data)
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
    """The genesis that follows from terms and records; raise GenesisError before all parties have joined."""
    terms = ceremony.terms
    if len(ceremony.records) != terms.members:
        raise g.GenesisError(f"records: {len(ceremony.records)} of {terms.members} parties have joined")
    return g.make_genesis(
        name=terms.name,
        created_at=terms.created_at,
        members=(record.party.member for record in ceremony.records),
        principals=(principal for record in ceremony.records for principal in record.party.principals),
        parameters=terms.parameters,
        demo=False,
        protocol_version=terms.protocol_version,
        continues=continued(terms),
        consensus=mode(terms),
    )


def missing(ceremony: Ceremony) -> list[str]:
    """Ids of the members that joined and have not sealed yet."""
    sealed = {seal.member for seal in ceremony.seals}
    return [r.party.member.id for r in ceremony.records if r.party.member.id not in sealed]


def lacking(ceremony: Ceremony) -> list[str]:
    """Capabilities out of NEEDED that no principal of the file asks for (R15)."""
    grants = [
        grant
        for record in ceremony.records
        for principal in record.party.principals
        for grant in principal.grants
        if grant.capability != "admin" or grant.event == g.ANY_EVENT
    ]
    held = {grant.capability for grant in grants}
    return [capability for capability in NEEDED if capability not in held]


def with_record(ceremony: Ceremony, record: Record) -> Ceremony:
    """The file with one more party; raise GenesisError if the record has other terms, is invalid, or
    contradicts another record."""
    _check_record(record, ceremony.terms)
    records = {known.party.member.id: known for known in ceremony.records}
    name = record.party.member.id
    if records.setdefault(name, record) != record:
        raise g.GenesisError(f"records: {name!r} has joined with another record; begin again with `init`")
    return _rebuilt(ceremony.terms, records, ceremony.seals)


def with_seal(ceremony: Ceremony, seal: Seal) -> Ceremony:
    """The file with one more seal; raise GenesisError if it seals another genesis."""
    if not _seals(seal, founded(ceremony)):
        raise g.GenesisError(f"seals: the seal of {seal.member!r} is not of this genesis")
    records = {record.party.member.id: record for record in ceremony.records}
    return _rebuilt(ceremony.terms, records, (*ceremony.seals, seal))


def merge(first: Ceremony, second: Ceremony) -> Ceremony:
    """Merge two files; seals of another set of records are dropped. Raise GenesisError if the files are of
    different ceremonies or contradict each other."""
    if first.terms != second.terms:
        raise g.GenesisError(f"terms: {first.terms.name!r} and {second.terms.name!r} are two clusters")
    merged = first
    for record in second.records:
        merged = with_record(merged, record)
    records = {record.party.member.id: record for record in merged.records}
    return _rebuilt(merged.terms, records, (*first.seals, *second.seals))


def open_genesis(data: bytes) -> g.Genesis:
    """The genesis in a file, if a cluster may start from it; else raise GenesisError with a sentence.

    There are two forms: a file that all its members sealed, and the plain genesis of a demonstration, made
    by one party and marked as such (`demo`). Any other plain genesis is refused, since it does not show
    which parties agreed to it.
    """
    check_size(data)
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
    canonical.encode((format, 0, 0, 0))[: 2 + len(format)]
    for format in (FORMAT, CONTINUED_FORMAT, CHOSEN_FORMAT)
)


def _rebuilt(terms: Terms, records: Mapping[str, Record], seals: Iterable[Seal]) -> Ceremony:
    """The file with its parts in order, and with those seals that match its genesis."""
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
            raise g.GenesisError(f"records: {text[:64]!r} is not a name (A-Z a-z 0-9 . _ -; 64 at most)")
    for grant in (grant for principal in party.principals for grant in principal.grants):
        g.check_grant(grant)
    # Not `check_address`: clusters run from files that were sealed before it refused as much as it does now.
    if not g.is_host(party.member.host) or not 1 <= party.member.port <= g.PORT_MAX:
        raise g.GenesisError(_unreachable(party.member.id))
    keys = [party.member.public_key, *(principal.public_key for principal in party.principals)]
    if len(record.signatures) != len(keys):
        raise g.GenesisError(f"records: {name!r} must be signed by each of its {len(keys)} keys")
    data = party_bytes(party)
    for key, signature in zip(keys, record.signatures, strict=True):
        if not ED25519.verify(key, data, signature):
            raise g.GenesisError(f"records: a signature of {name!r} is not by the key that it names")


def _check_places(records: tuple[Record, ...]) -> None:
    """Raise GenesisError if two members have the same address: a peer that dials it reaches only one."""
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
