"""The state of a cluster is saved, read, and installed in one that continues it, or refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from dtvn.ledger import Location, NodeLedger
from dtvn.machine import Consume, Dispute, Issue, Validate
from dtvn.node.continuing import begin, save
from dtvn.node.options import StartError
from dtvn.node.provision import create_demo_cluster
from dtvn.node.state_file import StateFileError, copy_state, open_state
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import link_frame
from tests.golden import Compare
from tests.node.test_golden_member import Member
from validators.ledger import open_ledger

GOLDEN = Path(__file__).parent / "golden"


class Saved:
    """The states of a lone member, and what is said of them."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.nowhere = member.folder.root / "nowhere"

    def tries(self, what: str, call: Callable[[], object]) -> None:
        try:
            self.member.say(f"{what}: {call()}")
        except (StateFileError, StartError) as error:
            self.member.say(f"{what}! {type(error).__name__}: {error}")

    def save(self, out: Path) -> g.Continued:
        return save(self.member.process.ledger, self.member.genesis, out, began_with=self.nowhere)


def test_a_state_is_saved_and_continued(
    golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    member = Member(monkeypatch, tmp_path, 1)
    made, out = Saved(member), tmp_path / "states" / "saved.state"
    member.process.start()
    member.chapter("Nothing is certified yet")
    made.tries("saved", lambda: made.save(out))
    member.chapter("A checkpoint, and further entries")
    member.hears(b"rg", "principal/gateway", link_frame(m.Hello(b"client-1")))
    until = member.wall // 1_000 + 10_000_000
    member.gateway(m.Operation("open_session", "", "", "gateway", "", until, b"nonce-of-twelve", b""))
    member.do("T1", Issue(), Validate(), Validate(), Consume())
    member.do("T2", Issue(), Validate(), Dispute())
    member.do("T3", Issue(), Consume(), Validate())
    made.tries("saved", lambda: made.save(out))
    made.tries("once more", lambda: made.save(out))
    _read(made, out)
    member.process.close()
    _continued(made, out)
    golden(GOLDEN / "continuing.txt", member.text)


def _read(made: Saved, out: Path) -> None:
    member, data = made.member, out.read_bytes()
    file = open_state(out)
    member.say(f"{len(data)} bytes, {file.mode}, {file.continued}")
    groups = list(file.items())
    member.say(f"{[len(group) for group in groups]} items; {groups == list(file.items())}")
    copy_state(out, out.with_name("copy"))
    member.say(f"copied {out.with_name('copy').read_bytes() == data}")
    made.tries("copied onto it", lambda: copy_state(out, out.with_name("copy")))
    bad = out.with_name("bad")
    for what, content in (
        ("empty", b""),
        ("another file", b"junk" * 99),
        ("only its name", data[: data.index(b"\n") + 1]),
        ("cut off in the head", data[:300]),
        ("without its last byte", data[:-1]),
        ("with one more", data + b"\0"),
        ("with a changed last byte", data[:-1] + bytes([data[-1] ^ 1])),
        ("with a piece twice", data + data[-200:]),
    ):
        bad.write_bytes(content)
        made.tries(what, lambda: len(list(open_state(bad).items())))
    made.tries("absent", lambda: open_state(out.with_name("absent")))
    made.tries("a folder", lambda: open_state(out.parent))


def _continued(made: Saved, out: Path) -> None:
    member = made.member
    member.chapter("Another cluster continues it, and one that continues something else")
    found = open_state(out).continued
    for name, continues in (("new", found), ("alien", replace(found, cluster=bytes(32)))):
        data = member.folder.root / name
        create_demo_cluster(data, 1, "192.0.2.9", [1], continues=continues)
        genesis = g.decode((data / "cluster" / "genesis.bin").read_bytes())
        place, path = Location(data / "nodes" / "node0" / "ledger"), data / "cluster" / "continued.state"
        ledger = open_ledger(place, cluster_id=g.cluster_id(genesis), expect_existing=name == "alien")
        _begun(made, name, ledger, genesis, path, out)
        ledger.close()


def _begun(made: Saved, name: str, ledger: NodeLedger, genesis: g.Genesis, path: Path, out: Path) -> None:
    def told() -> str:
        tail = ledger.load(whole=True)
        rows = sum(1 for _row in tail.rows)
        base = None if tail.base is None else tail.base.entry.sequence
        return f"base {base}, applied {tail.applied_sequence}, {rows} rows, voting {ledger.voting}"

    def begun(member: bool) -> str:
        begin(ledger, genesis, path, member=member)
        return told()

    made.tries(f"{name}: not continued", lambda: begin(ledger, made.member.genesis, path, member=True))
    made.tries(f"{name}: without the file, a member", lambda: begun(True))
    made.tries(f"{name}: without the file, another", lambda: begun(False))
    copy_state(out, path)
    made.tries(f"{name}: with it", lambda: begun(True))
    path.unlink()
    made.tries(f"{name}: once more", lambda: begun(False))
