"""Each limit of a genesis, just kept and just missed, and the file of a ceremony at each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis import ceremony as c
from dtvn.protocol.quorum import Mode
from dtvn.protocol.scheme import ED25519
from tests.golden import Compare, Telling
from tests.host.support import key_pair, make_genesis

GOLDEN = Path(__file__).parent / "golden"
SIGNERS = tuple(g.Signer(f"o{at}", bytes([at]) * 32) for at in range(32))
CONTINUES = g.Continued(b"c" * 32, 2, 70, b"s" * 32, b"l" * 32, 9_000, SIGNERS[:3])
BASE = make_genesis(4)
REACHED = ("a", "12.a", "1.2.3.4", "::1", "10.0.0.1", "a-b.example", "x" * 63, "A.EXAMPLE")
OF_NO_MACHINE = (
    "fe80::1", "0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "ff02::1", "::ffff:224.0.0.1", "169.254.0.1",  # noqa: S104 - not bound
)  # fmt: skip
NO_HOSTS = (
    "", "12", "a.12", "1.2.3", "fe80::1%eth0", "-a.example", "a-.example", "a..b", "a.", "x" * 64,
    ".".join(["x" * 50] * 5), "a_b", "a/b", "1.2.3.4:5",
)  # fmt: skip
TEXTS = ("", "a", "A.b_c-9", "-a", ".a", "a b", "a:b", "*", "é", "a\n", "x" * 64, "x" * 65, "a#1", "12")
"""Any of these as a name; which of them a kind of name may be, stands in its test."""


def kept(genesis: g.Genesis) -> bool:
    """Whether it is read again as it was written."""
    try:
        return g.decode(g.encode(genesis)) == genesis
    except (g.GenesisError, canonical.CanonicalError):
        return False


def near(low: int, high: int) -> dict[int, bool]:
    """Values beside two limits, and whether they are inside."""
    return {low - 1: False, low: True, high: True, high + 1: False}


def test_each_parameter_has_its_bounds() -> None:
    for name, (low, high) in g.BOUNDS.items():
        if name == "checkpoint_interval":
            high = 3_177  # of four members, whose VIEW-CHANGE would be too large beyond it
        for value, inside in near(low, high).items():
            assert kept(replace(BASE, parameters=replace(BASE.parameters, **{name: value}))) is inside, name


def test_members_ports_and_keys_have_their_bounds() -> None:
    one, two = BASE.members[:2]
    for number, inside in near(1, 31).items():
        assert kept(make_genesis(number)) is inside
    for port, inside in near(1, 65_535).items():
        assert kept(replace(BASE, members=(one, replace(two, port=port)))) is inside
    for host in (*REACHED, *OF_NO_MACHINE, *NO_HOSTS):
        assert kept(replace(BASE, members=(one, replace(two, host=host)))) is (host not in NO_HOSTS), host
    for size in (0, 31, 33):
        assert not kept(replace(BASE, members=(one, replace(two, public_key=b"k" * size))))
    assert not kept(replace(BASE, members=(one, one)))


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("cluster", {"", "a\n", "x" * 65}),
        ("member", {"", "x" * 65}),
        ("principal", set(TEXTS) - {"a", "A.b_c-9", "x" * 64, "12"}),
        ("event", set(TEXTS) - {"a", "A.b_c-9", "a:b", "*", "x" * 64, "12"}),
    ],
)
def test_names_have_their_bounds(kind: str, refused: set[str]) -> None:
    one, two, first = *BASE.members[:2], BASE.principals[0]
    for text in TEXTS:
        changed = {
            "cluster": replace(BASE, name=text),
            "member": replace(BASE, members=(replace(one, id=text), two)),
            "principal": replace(BASE, principals=(replace(first, name=text),)),
            "event": replace(BASE, principals=(replace(first, grants=(g.Grant(text, "gate"),)),)),
        }[kind]
        assert kept(changed) is (text not in refused), text


@pytest.mark.parametrize("mode", Mode)
def test_a_continued_state_has_its_bounds(mode: Mode) -> None:
    begun = g.agreeing_by(make_genesis(4), mode)

    def continues(**changes: Any) -> bool:
        return kept(g.continuing(begun, replace(CONTINUES, **changes)))

    assert g.first_sequence(begun) == 1
    assert g.first_sequence(g.continuing(begun, CONTINUES)) == 71
    for field in ("cluster", "state_root", "log_root"):
        assert not any(continues(**{field: b"h" * size}) for size in (31, 33))
    for field, least in (("epoch", 0), ("sequence", 1), ("timestamp", 0)):
        for value, inside in near(least, 2**62).items():
            assert continues(**{field: value}) is inside, field
    for number, inside in near(1, 31).items():
        assert continues(signers=SIGNERS[:number]) is inside
    first = SIGNERS[0]
    twice = (first, replace(first, id="p"), replace(first, public_key=b"o" * 32), g.Signer("p", b"o" * 31))
    assert not any(continues(signers=(first, each)) for each in twice)


def test_addresses_that_others_reach() -> None:
    for host in (*REACHED, *OF_NO_MACHINE, *NO_HOSTS):
        why = g.why_not_reached(host)
        words = (
            "one machine" if host in OF_NO_MACHINE else "IP address or a DNS name" if host in NO_HOSTS else ""
        )
        assert words in why, host
        assert bool(why) is bool(words), host
        for port, inside in near(1, 65_535).items():
            assert ("gives no address that others could dial" in _refused(host, port)) is bool(
                why or not inside
            )


def _refused(host: str, port: int) -> str:
    try:
        c.check_address("r1", host, port)
    except g.GenesisError as error:
        return str(error)
    return ""


def test_a_grant_is_written_in_either_order() -> None:
    for text, event, capability in (
        *(("gate", "*", "gate"), ("final:gate", "final", "gate"), ("gate:final", "final", "gate")),
        *(("issue:gate", "issue", "gate"), ("gate:issue", "gate", "issue"), ("a:b:gate", "a:b", "gate")),
    ):
        assert g.grant_of(text) == g.Grant(event, capability)
    for text in ("gate:", ":gate", ""):
        with pytest.raises(g.GenesisError, match="grants"):
            g.grant_of(text)


# --- the file of a ceremony ---------------------------------------------------------------------------


class Told(Telling):
    """What was tried, and its result or refusal."""

    def tries(self, what: object, do: Callable[[], Any]) -> None:
        try:
            result = do()
        except g.GenesisError as error:
            result = f"refused: {error}"
        self.say(f"{what}: {result}")


def record(terms: c.Terms, name: str, *, signed: tuple[str, ...] = (), **fields: Any) -> c.Record:
    """A party's record, signed by its two keys or by those that are named."""
    member = g.Member(name, key_pair(name)[0], f"{name}.example", 7_000)
    grants = (g.Grant("*", "issue"), g.Grant("*", "gate"))
    keys = fields.pop("principals", (f"{name}-gateway",))
    principals = tuple(g.Principal(each, key_pair(each)[0], fields.get("grants", grants)) for each in keys)
    place = {field: value for field, value in fields.items() if field in ("id", "host", "port")}
    party = c.Party(fields.get("digest", terms.digest), replace(member, **place), principals)
    signers = signed or (name, *keys)
    data = c.party_bytes(party)
    return c.Record(party, tuple(ED25519.sign(key_pair(each)[1], data) for each in signers))


def seal(genesis: g.Genesis, name: str, by: str = "") -> c.Seal:
    return c.Seal(name, ED25519.sign(key_pair(by or name)[1], c.seal_bytes(genesis)))


def said(file: c.Ceremony) -> str:
    """A file in words."""
    names = [each.party.member.id for each in file.records]
    seals = [each.member for each in file.seals]
    assert c.decode(c.encode(file)) == file
    return f"{names} sealed by {seals}, missing {c.missing(file)}, lacking {c.lacking(file)}"


def _joined(file: c.Ceremony, more: c.Record) -> str:
    return said(c.with_record(file, more))


def _read(file: c.Ceremony) -> str:
    return said(c.decode(c.encode(file)))


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("state", [None, CONTINUES], ids=["begins", "continues"])
def test_the_file_of_a_ceremony(golden: Compare, mode: Mode, state: g.Continued | None) -> None:
    """The same is said of all: a mode and a state are terms, which change no step."""
    told = Told()
    _ceremony(told, c.propose("cup", 5, 3, g.Parameters(), consensus=mode, continues=state))
    golden(GOLDEN / "file-of-a-ceremony.txt", told.text)


def _tell(told: Told, file: c.Ceremony) -> None:
    told.tries("the file", lambda: said(file))
    told.tries("opened", lambda: c.open_genesis(c.encode(file)) == c.founded(file))


def _ceremony(told: Told, terms: c.Terms) -> None:
    begun = c.begin(terms)
    a, b, d = (record(terms, name) for name in "abd")
    whole = c.merge(c.merge(c.with_record(begun, d), c.with_record(begun, a)), c.with_record(begun, b))
    genesis = c.founded(whole)
    sealed = whole
    for name in "dab":
        _tell(told, sealed)
        sealed = c.with_seal(sealed, seal(genesis, name))
    _tell(told, sealed)
    told.tries("by another", lambda: said(c.with_seal(whole, seal(genesis, "a", by="b"))))
    told.tries("of nobody", lambda: said(c.with_seal(whole, seal(genesis, "x"))))
    told.tries("too early", lambda: said(c.with_seal(c.with_record(begun, a), seal(genesis, "a"))))
    told.tries("merged", lambda: said(c.merge(whole, c.with_seal(whole, seal(genesis, "b")))))
    told.tries("another record", lambda: said(c.with_record(whole, record(terms, "a", port=8))))
    told.tries("a fourth", lambda: said(c.with_record(whole, record(terms, "e"))))
    other = replace(terms, created_at=6)
    told.tries("two clusters", lambda: said(c.merge(whole, c.begin(other))))
    for what, wrong in _wrong_records(terms):
        told.tries(what, partial(_joined, c.with_record(begun, a), wrong))
    files = {
        "records turned": replace(whole, records=whole.records[::-1]),
        "a record twice": replace(whole, records=(a, a, b)),
        "four records": replace(whole, records=(a, b, d, record(terms, "e"))),
        "seals turned": replace(sealed, seals=sealed.seals[::-1]),
        "a seal twice": replace(sealed, seals=(sealed.seals[0],) * 2),
        "a seal too early": replace(begun, records=(a,), seals=sealed.seals[:1]),
        "a wrong seal": replace(sealed, seals=(seal(genesis, "a", by="b"),)),
        "another number": replace(sealed, terms=replace(terms, members=2)),
    }
    for what, file in files.items():
        told.tries(what, partial(_read, file))
    with pytest.raises(g.GenesisError):
        _read(replace(sealed, format="dtvn-genesis-9"))
    told.tries("too large", lambda: c.open_genesis(bytes(c.FILE_BYTES_MAX + 1)))
    told.tries("plain", lambda: c.open_genesis(g.encode(genesis)))


def _wrong_records(terms: c.Terms) -> Iterator[tuple[str, c.Record]]:
    yield "of other terms", record(terms, "b", digest=bytes(32))
    yield "a name too odd", record(terms, "b", id="b b")
    yield "a principal too odd", record(terms, "b", principals=("b#1",))
    yield "one signature", record(terms, "b", signed=("b",))
    yield "signatures turned", record(terms, "b", signed=("b-gateway", "b"))
    yield "the place of another", record(terms, "b", host="A.example")
    yield "an odd event", record(terms, "b", grants=(g.Grant("a b", "gate"),))
    yield "administers one event", record(terms, "b", grants=(g.Grant("final", "admin"),))
    yield "administers", record(terms, "b", grants=(g.Grant("*", "admin"),))
    for port in (0, 65_536):
        yield f"port {port}", record(terms, "b", port=port)
    for count in (16, 17):
        yield f"{count} principals", record(terms, "b", principals=tuple(f"b{at:02}" for at in range(count)))
