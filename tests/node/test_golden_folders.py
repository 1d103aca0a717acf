"""What is in the folders of nodes, clusters and followers: every file with its mode, what is read of it, and
which sentence refuses what is damaged or another's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from dtvn.files.whole import write_private
from dtvn.ledger import FoundLedger, Location
from dtvn.net import KeyFileError, encode_seed, public_key_of, read_seed
from dtvn.node import provision
from dtvn.node.epochs import as_genesis, other_sources, own_place
from dtvn.node.follower import follower_options
from dtvn.node.following import (
    Following,
    check_folder,
    following_in,
    keep_following,
    keep_report,
    pin,
    report_in,
)
from dtvn.node.kept_ports import all_kept, keep_ports, kept_api, kept_metrics, kept_port
from dtvn.node.keys import VotedStamp, dev_seed, peer_id, public_key_of_peer_id
from dtvn.node.layout import ClusterFolder, NodeFolder, is_node_id, why_not_joins_as
from dtvn.node.ledger_place import (
    keep_server,
    ledger_schema,
    own_server,
    place_ledger,
    warn_of_neighbours,
)
from dtvn.node.moved import keep_address, moved_to
from dtvn.node.options import NodeOptions, StartError, genesis_in
from dtvn.node.provision import create_demo_cluster, dev_genesis, make_newcomer
from dtvn.node.splice_allowed import Allowed, read_allowed
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.quorum import Mode
from tests.golden import Compare, Telling

GOLDEN = Path(__file__).parent / "golden"
REFUSALS = (StartError, KeyFileError, ValueError, OSError)


class Folders(Telling):
    """A folder in which things are made, and what is in it afterwards."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def say(self, line: str) -> None:
        super().say(line.replace(str(self.root), "FOLDER"))

    def tries(self, what: str, call: Callable[[], object]) -> None:
        try:
            self.say(f"{what}: {call()!r}")
        except REFUSALS as error:
            self.say(f"{what}! {type(error).__name__}: {error}")

    def files(self, below: Path) -> None:
        """Every file and folder with its mode."""
        for path in sorted(below.rglob("*")):
            kind = "/" if path.is_dir() else f" {path.stat().st_size} bytes"
            self.say(f"  {path.relative_to(below)}{kind} {path.stat().st_mode & 0o777:04o}")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folders]:
    drawn = iter(range(256))
    monkeypatch.setattr(os, "urandom", lambda size: bytes([next(drawn)]) * size)
    monkeypatch.setattr(provision.time, "time_ns", lambda: 1_790_000_000_000_000_000)  # type: ignore[attr-defined]
    before = os.umask(0o022)
    yield Folders(tmp_path)
    os.umask(before)


def test_a_cluster_of_one_operator(golden: Compare, folders: Folders) -> None:
    data = folders.root / "demo"
    folders.tries("ports", lambda: create_demo_cluster(data, 2, "192.0.2.9", [1]))
    create_demo_cluster(data, 2, "192.0.2.9", [1, 2], "club", names=("seller", "venue"), consensus=Mode.RAFT)
    create_demo_cluster(data, 3, "192.0.2.9", [1, 2, 3])
    folders.files(data)
    content = (data / "cluster" / "genesis.bin").read_bytes()
    genesis = g.decode(content)
    for name in genesis.__struct_fields__:
        value = getattr(genesis, name)
        for each in value if isinstance(value, tuple) else (value,):
            folders.say(f"{name}: {each}"[:230])
    folder = ClusterFolder(data)
    same = {each.genesis.read_bytes() == content for each in map(folder.node, ("seller", "venue"))}
    folders.say(f"each node has it: {same}")
    folders.say(f"key {read_seed(folder.node('venue').key).hex()}, {read_seed(folder.gateway_key).hex()}")
    folders.chapter("Newcomers, and parties that founded elsewhere")
    newest = founding(genesis)
    for membership in (newest, None):
        made = make_newcomer(folder.node("guest"), content, membership)
        folders.say(f"newcomer {made.hex()}, genesis {len(folder.node('guest').genesis.read_bytes())}")
    folders.files(folder.node("guest").root)
    folders.tries("others", lambda: other_sources(folder.node("guest").sources, newest))
    other = folders.root / "other"
    party = ClusterFolder(other).node("party")
    party.create()
    write_private(party.key, encode_seed(bytes(32)))
    folders.tries("not installed", lambda: create_demo_cluster(other, 1, "192.0.2.9", [1]))
    write_private(party.genesis, content)
    folders.tries("follows", lambda: create_demo_cluster(other, 1, "192.0.2.9", [1]))
    _names(folders, folder)
    golden(GOLDEN / "folders-of-a-cluster.txt", folders.text)


def _names(folders: Folders, folder: ClusterFolder) -> None:
    folders.chapter("Names")
    for name in (
        "a",
        "A-1._x",
        ".a",
        "-a",
        "a" * 60,
        "a" * 61,
        "a" * 64,
        "a" * 65,
        "",
        "é",
        "a/b",
        "learner",
    ):
        reasons = [why_not_joins_as(name, made_here=here) for here in (True, False)]
        folders.say(f"{name[:8]!r} ({len(name)}): {is_node_id(name)}, {reasons}")
    for name in ("api-x", "preview", "gateway", "learner"):
        folders.say(f"{name}: {why_not_joins_as(name)}")
    for name in ("", "venue", "nobody", "a b"):
        folders.tries(f"genesis of {name!r}", lambda name=name: genesis_in(folder, name))  # type: ignore[misc]
    for data in (folders.root / "other", folders.root / "none"):
        for name in ("", "party"):
            folders.tries(
                f"genesis of {name!r} in {data.name}",
                lambda data=data, name=name: genesis_in(ClusterFolder(data), name),  # type: ignore[misc]
            )


def test_the_genesis_of_a_node_has_its_place_though_it_is_lost(folders: Folders) -> None:
    """Who opens it says how a new member takes the node's place."""
    folder = ClusterFolder(folders.root / "data")
    folder.node("node7").create()
    assert not folder.node("node7").genesis.exists()
    assert genesis_in(folder, "node7") == folder.node("node7").genesis


def test_files_of_a_node(golden: Compare, folders: Folders) -> None:
    folder = ClusterFolder(folders.root / "data").node("node0")
    folder.create()
    folders.chapter("Where it moved to, its server, and its ports")
    for text in (None, b"/ip4/192.0.2.7/tcp/7/p2p/x\n", b"junk", b"\xff"):
        if text is not None:
            folder.address.write_bytes(text)
        folders.tries(f"moved {text!r}", lambda: moved_to(folder))
    keep_address(folder, "2001:db8::7", 77, "12D3")
    folders.tries("kept", lambda: (moved_to(folder), folder.address.read_text()))
    for url in ("postgresql://here", "", ""):
        keep_server(folder, url)
        folders.tries(f"server {url!r}", lambda: own_server(folder))
    folder.ledger_url.write_bytes(b"\xff")
    folders.tries("damaged server", lambda: own_server(folder))
    genesis = dev_genesis(2, "192.0.2.9", lambda at: at + 1)
    for name in ("node0", "Gate-A.1", "n" * 64):
        folders.say(f"schema {ledger_schema(genesis, name)}")
    _ledgers(folders, folder, genesis)
    _ports(folders, folder)
    _stamp(folders, folder)
    _places(folders, folder, genesis)
    golden(GOLDEN / "folders-of-a-node.txt", folders.text)


def _ledgers(folders: Folders, folder: NodeFolder, genesis: g.Genesis) -> None:
    keep_server(folder, "postgresql://kept")
    write_private(folder.genesis, g.encode(genesis))
    logger = SimpleNamespace(warning=lambda text, said: folders.say(f"  warns: {text % said}"))
    for options, warning in (
        (NodeOptions(), ""),
        (NodeOptions(own_url="postgresql://own", platform_url="postgresql://platform"), "it is there too"),
        (NodeOptions(ledger_folder=folders.root / "elsewhere"), ""),
    ):

        def find(place: Path, warning: str = warning, **named: object) -> FoundLedger:
            folders.say(f"  finds {place}, {named}")
            return FoundLedger(Location(place), warning)

        placed = place_ledger(folder, options, cast(Any, find), cast(Any, logger))
        folders.say(f"placed {placed.ledger}")
    founded = founding(genesis)
    joined = msgspec.structs.replace(founded.members[1], id="late")
    later = founded.followed_by(9, (founded.members[0], joined), founded.parameters)
    both = tuple(ledger_schema(genesis, name) for name in ("node1", "late"))
    for membership, there in ((founded, ()), (founded, both), (later, both)):
        ledger: Any = SimpleNamespace(
            on_same_server=lambda names, there=there: [each for each in names if each in there]
        )
        warn_of_neighbours(ledger, genesis, membership, "node0", cast(Any, logger))


def _ports(folders: Folders, folder: NodeFolder) -> None:
    other = ClusterFolder(folders.root / "data").node("node1")
    folders.tries("none", lambda: (kept_port(folder, "api"), kept_api(folder, "k"), kept_metrics(folder)))
    for name, chosen in (("api", [81, 82]), ("metrics", [91, 92]), ("api", [])):
        kept = keep_ports([folder, other], name, lambda names, chosen=chosen: chosen[: len(names)])  # type: ignore[misc]
        folders.say(f"{name}: {kept}")
    folders.tries("all", lambda: (sorted(all_kept(folder)), kept_api(folder, "k"), kept_metrics(other)))
    folders.tries("own key", lambda: kept_api(folder, ""))
    write_private(folder.api_token, b"token\n")
    folders.tries("token", lambda: (kept_api(folder, ""), kept_api(folder, "k")))
    folder.api_token.write_bytes(b"\xff")
    folders.tries("damaged token", lambda: kept_api(folder, ""))
    folders.files(other.root)
    next(other.root.glob("*.json")).write_text("[]")
    folders.tries("damaged ports", lambda: kept_port(other, "api"))


def _stamp(folders: Folders, folder: NodeFolder) -> None:
    folders.chapter("The stamp of a key that voted, and peer ids")
    stamp = VotedStamp(folder.identity)
    told = [stamp.present]
    for change in (stamp.write, stamp.write, stamp.clear, stamp.clear):
        change()
        told += [stamp.present, stamp.path.exists()]
    folders.say(f"{told}")
    (folder.identity / "voted").write_text("by another process")
    stamp.write()
    folders.say(f"{stamp.present}, {VotedStamp(folder.identity).present}, {stamp.path.read_text()!r}")
    for name in ("node0", "gateway"):
        text = peer_id(public_key_of(dev_seed(name)))
        folders.say(f"{text} {public_key_of_peer_id(text) == public_key_of(dev_seed(name))}")
    odd = peer_id(bytes(31) + b"1")
    folders.say(f"{peer_id(bytes(32))} {odd} {dev_seed('a', 'salt').hex()}")
    for text in ("", "1111", "0", "x" * 65, "12D3KooW", odd, peer_id(hashlib.sha256(b"0").digest())):
        folders.tries(f"{text[:60]!r}", lambda text=text: public_key_of_peer_id(text).hex())  # type: ignore[misc]


def _places(folders: Folders, folder: NodeFolder, genesis: g.Genesis) -> None:
    folders.chapter("Its place in an epoch, and the key of the next")
    membership = founding(genesis)
    folders.say(f"as genesis: {[member.id for member in as_genesis(genesis, membership).members]}")
    write_private(folder.key, encode_seed(dev_seed("before")))

    def place() -> Any:
        renewed: list[str] = []
        index, seed, fresh = own_place(folder, membership, lambda: renewed.append("renewed"))
        names = [name for name in ("before", "node0", "node1", "later") if dev_seed(name) == seed]
        left = folder.next_key.exists(), VotedStamp(folder.identity).present
        return index, names, fresh, renewed, left

    folders.tries("another key", place)
    write_private(folder.next_key, encode_seed(dev_seed("later")))
    folders.tries("a key of a later epoch", place)
    write_private(folder.next_key, encode_seed(dev_seed("node1")), replace=True)
    folders.tries("the epoch names the next key", place)
    folders.tries("once more", place)
    write_private(folder.next_key, encode_seed(dev_seed("node0")))
    folders.tries("a next key besides", place)
    later = msgspec.structs.replace(
        membership, epoch=3, members=(membership.members[0], g.Member("new", bytes(32), "192.0.2.1", 1))
    )
    for found in (None, membership, later):
        if found is not None:
            folder.sources.write_bytes(canonical.encode_trimmed(found))
        folders.tries("others to ask", lambda: other_sources(folder.sources, membership))


def test_a_followers_folder(golden: Compare, folders: Folders) -> None:
    data = folders.root / "follower"
    folders.tries("nothing", lambda: (following_in(data), report_in(data)))
    start = f"/ip4/192.0.2.7/tcp/7/p2p/{peer_id(public_key_of(dev_seed('node0')))}"
    following = Following(start, listen="192.0.2.8:8")
    folders.tries("no follower", lambda: follower_options(data))
    ClusterFolder(data).create()
    keep_following(data, following)
    folders.say((data / "cluster" / "follow.json").read_text())
    folders.tries("not pinned", lambda: follower_options(data))
    genesis = g.encode(dev_genesis(2, "192.0.2.9", lambda at: at + 1))
    own = g.cluster_id(g.decode(genesis)).hex()
    for wanted in ("abc", own[:8].upper(), ""):
        folders.tries(f"pin {wanted}", lambda wanted=wanted: pin(data, following, genesis, wanted))  # type: ignore[misc]
    other = g.encode(dev_genesis(3, "192.0.2.9", lambda at: at + 1))
    known = following_in(data)
    assert known is not None
    for asked in ("", g.cluster_id(g.decode(other)).hex()):
        folders.tries("another cluster", lambda asked=asked: pin(data, known, other, asked))  # type: ignore[misc]
    folders.tries("pinned", lambda: follower_options(data))
    for report in ({"state": "following"}, [1]):
        keep_report(data, report)  # type: ignore[arg-type]
        folders.tries("report", lambda: report_in(data))
    folders.files(data)
    folders.tries("its own", lambda: check_folder(data))
    (data / "cluster" / "follow.json").unlink()
    folders.tries("a platform's", lambda: check_folder(data))
    ClusterFolder(data).genesis.unlink()
    folders.tries("empty", lambda: check_folder(data))
    ClusterFolder(data).node("node0").create()
    folders.tries("a node's", lambda: check_folder(data))
    (data / "cluster" / "follow.json").write_text("{")
    folders.tries("damaged", lambda: following_in(data))
    golden(GOLDEN / "folder-of-a-follower.txt", folders.text)


def test_who_may_register_at_a_splice(golden: Compare, folders: Folders) -> None:
    one, two = (peer_id(public_key_of(dev_seed(name))) for name in ("node0", "node1"))
    for text in (
        *(
            one,
            f"{one} 7 # a comment\n\n# {two}\n{two}",
            f"{one} 7 8",
            f"{one} x",
            f"{one} -1",
            f"{one} 65536",
        ),
        *(f"{one} 7\n{two} 7", "junk", f"{one} 0\n{two} 0", f"{one} 7\n{one} 8"),
    ):
        folders.tries(
            repr(text).replace(one, "ONE").replace(two, "TWO"),
            lambda text=text: {key.hex()[:4]: port for key, port in read_allowed(text).items()},  # type: ignore[misc]
        )
    genesis, file = folders.root / "genesis.bin", folders.root / "allowed"
    genesis.write_bytes(g.encode(dev_genesis(1, "192.0.2.9", lambda at: at + 1)))

    def told(allowed: Allowed) -> tuple[dict[str, int], str]:
        return {key.hex()[:4]: port for key, port in allowed().items()}, allowed.trouble

    folders.tries("genesis", lambda: told(Allowed([genesis], [], None)))
    folders.tries("keys", lambda: told(Allowed([genesis], [f"{one} 5", two], None)))
    folders.tries("no file", lambda: told(Allowed([], [], file)))
    file.write_text(f"{one} 8")
    allowed = Allowed([], [two], file)
    folders.tries("a file", lambda: told(allowed))
    for at, content in enumerate((f"{one} 8", "junk", f"{two} 88")):
        file.write_text(content)
        os.utime(file, ns=(at, at))
        folders.tries(f"{content[-2:]} in the file", lambda: told(allowed))
    file.unlink()
    folders.tries("the file is gone", lambda: told(allowed))
    golden(GOLDEN / "allowed-at-a-splice.txt", folders.text)
