"""Every limit of a genesis and of the file of a ceremony, just kept and just missed: what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis import ceremony as c
from dtvn.protocol.quorum import Mode
from dtvn.protocol.scheme import ED25519
from tests.golden import Compare
from tests.host.support import key_pair, make_genesis

GOLDEN = Path(__file__).parent / "golden"
CONTINUES = g.Continued(
    b"c" * 32,
    2,
    70,
    b"s" * 32,
    b"l" * 32,
    9_000,
    tuple(g.Signer(f"o{at}", bytes([at]) * 32) for at in range(3)),
)
TEXTS = ("", "a", "r1", "A.b_c-9", "-a", ".a", "a b", "a:b", "*", "é", "a\n", "x" * 64, "x" * 65, "a#1", "12")
HOSTS = (
    "", "a", "12", "a.12", "12.a", "1.2.3.4", "1.2.3", "::1", "fe80::1%eth0", "fe80::1", "0.0.0.0", "::",  # noqa: S104 - told, not bound
    "255.255.255.255", "224.0.0.1", "ff02::1", "::ffff:224.0.0.1", "169.254.0.1", "10.0.0.1", "a-b.example",
    "-a.example", "a-.example", "a..b", "a.", "x" * 63, "x" * 64, ".".join(["x" * 49] * 5),
    ".".join(["x" * 50] * 5), "A.EXAMPLE", "a_b", "a/b", "1.2.3.4:5",
)  # fmt: skip


class Told:
    """What was tried, and its result or refusal."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tries(self, what: object, do: Callable[[], Any]) -> None:
        try:
            result = do()
        except (g.GenesisError, canonical.CanonicalError) as error:
            result = f"{type(error).__name__}: {error}"
        self.lines.append(f"{what}: {result}")

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def near(low: int, high: int) -> tuple[int, ...]:
    return low - 1, low, high, high + 1


def changed_genesis() -> Iterator[tuple[object, g.Genesis]]:
    """What stands at each limit of a genesis."""
    base = make_genesis(4)
    one, two = base.members[:2]
    first = base.principals[0]
    for name, (low, high) in g.BOUNDS.items():
        for value in near(low, high):
            yield (name, value), replace(base, parameters=replace(base.parameters, **{name: value}))
    for number in (*near(1, 31), 4):
        large = make_genesis(max(0, number))
        yield f"{number} members", large
        for interval in (100, 3_177, 3_178):
            rare = replace(large.parameters, checkpoint_interval=interval)
            yield f"{number} members, {interval}", replace(large, parameters=rare)
    for text in TEXTS:
        yield ("name", text), replace(base, name=text)
        yield ("member", text), replace(base, members=(replace(one, id=text), two))
        yield ("principal", text), replace(base, principals=(replace(first, name=text),))
        grants = (g.Grant(text, "gate"),), (g.Grant("*", text),)
        yield ("event", text), replace(base, principals=(replace(first, grants=grants[0]),))
        yield ("capability", text), replace(base, principals=(replace(first, grants=grants[1]),))
    for host in HOSTS:
        yield ("host", host), replace(base, members=(one, replace(two, host=host)))
    for port in near(1, 65_535):
        yield ("port", port), replace(base, members=(one, replace(two, port=port)))
    for size in (0, 31, 33):
        yield ("key", size), replace(base, members=(one, replace(two, public_key=b"k" * size)))
    yield (
        "a key of one and a principal",
        replace(base, principals=(replace(first, public_key=one.public_key),)),
    )
    yield "a name of one and a principal", replace(base, principals=(replace(first, name="r1"),))
    yield "one member twice", replace(base, members=(one, one))


def changed_continued() -> Iterator[tuple[object, g.Continued]]:
    """What stands at each limit of a continued state."""
    yield "as it is", CONTINUES
    for field in ("cluster", "state_root", "log_root"):
        for size in (31, 33):
            yield (field, size), replace(CONTINUES, **{field: b"h" * size})
    for field in ("epoch", "sequence", "timestamp"):
        for value in (-1, 0, 1, 2**62, 2**62 + 1):
            yield (field, value), replace(CONTINUES, **{field: value})
    for number in near(1, 31):
        signers = tuple(g.Signer(f"o{at}", bytes([at]) * 32) for at in range(number))
        yield f"{number} signers", replace(CONTINUES, signers=signers)
    first = CONTINUES.signers[0]
    for more in (
        first,
        replace(first, id="p"),
        replace(first, public_key=b"o" * 32),
        g.Signer("p", b"o" * 31),
    ):
        yield f"{more} more", replace(CONTINUES, signers=(first, more))


def _taken(genesis: g.Genesis) -> str:
    return f"{len(g.encode(g.decode(g.encode(genesis))))} bytes"


def _begins(genesis: g.Genesis) -> str:
    return f"begins at {g.first_sequence(g.decode(g.encode(genesis)))} by {g.mode(genesis)}"


def test_limits_of_a_genesis(golden: Compare) -> None:
    told = Told()
    for what, value in changed_genesis():
        told.tries(what, partial(_taken, value))
    for mode in Mode:
        told.tries((mode.value, "begins"), partial(_begins, g.agreeing_by(make_genesis(4), mode)))
        for what, state in changed_continued():
            begun = g.continuing(g.agreeing_by(make_genesis(4), mode), state)
            told.tries((mode.value, what), partial(_begins, begun))
    for consensus in ("pbft", "raft", "", "x" * 40):
        for version in range(5):
            told.tries((consensus, version), partial(g.check_consensus, consensus, version))
    for host in HOSTS:
        told.tries(host, partial(g.why_not_reached, host))
    for text in (
        "gate",
        "final:gate",
        "gate:final",
        "issue:gate",
        "gate:issue",
        "a:b:gate",
        "gate:",
        ":gate",
        "",
    ):
        told.tries(text, partial(g.grant_of, text))
    for number, interval in ((1, 1), (4, 10), (7, 16), (31, 500)):
        terms = replace(g.Parameters(), checkpoint_interval=interval)
        sizes = g.window(terms), g.watermark_span(terms)
        told.lines.append(f"{number} {interval}: {sizes} {g.view_change_bytes(number, sizes[1])}")
    golden(GOLDEN / "limits-of-a-genesis.txt", told.text())


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
    short = sha256(c.encode(c.decode(c.encode(file)))).hexdigest()[:12]
    return f"{names} sealed by {seals}, missing {c.missing(file)}, lacking {c.lacking(file)}: {short}"


def _joined(file: c.Ceremony, more: c.Record) -> str:
    return said(c.with_record(file, more))


def _read(file: c.Ceremony) -> str:
    return said(c.decode(c.encode(file)))


def test_files_of_a_ceremony(golden: Compare) -> None:
    told = Told()
    for mode in Mode:
        for kept in (None, CONTINUES):
            terms = c.propose("cup", 5, 3, g.Parameters(), consensus=mode, continues=kept)
            told.lines.append(f"# {mode.value} {'continues' if kept else 'begins'} {terms.digest.hex()[:8]}")
            _ceremony(told, terms)
    golden(GOLDEN / "files-of-a-ceremony.txt", told.text())


def _tell(told: Told, file: c.Ceremony) -> None:
    told.tries("the file", lambda: said(file))
    told.tries("opened", lambda: g.cluster_id(c.open_genesis(c.encode(file))).hex()[:8])


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
        "another format": replace(sealed, format="dtvn-genesis-9"),
        "another number": replace(sealed, terms=replace(terms, members=2)),
    }
    for what, file in files.items():
        told.tries(what, partial(_read, file))
    told.tries("too large", lambda: c.open_genesis(bytes(c.FILE_BYTES_MAX + 1)))
    told.tries("not too large", lambda: c.open_genesis(bytes(c.FILE_BYTES_MAX)))
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
    for port in near(1, 65_535):
        yield f"port {port}", record(terms, "b", port=port)
    for count in (0, 16, 17):
        yield f"{count} principals", record(terms, "b", principals=tuple(f"b{at:02}" for at in range(count)))


def test_addresses(golden: Compare) -> None:
    told = Told()
    for host in HOSTS:
        for port in near(1, 65_535):
            told.tries((host, port), partial(c.check_address, "r1", host, port))
    golden(GOLDEN / "addresses.txt", told.text())
