"""Tells what is prepared before the first process of a platform starts: cluster, accounts, rows, tables,
static files; what refuses it; and how a running platform founds another cluster in the place of one."""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection

from dtvn.events.config import PROFILES
from dtvn.files.whole import write_private
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError, load_genesis
from dtvn.protocol import genesis
from dtvn.protocol.quorum import Mode
from tests.api.telling import Story, beside
from tests.golden import Compare
from tests.platform.recording import Recorder
from validators.data_folder import tcp_ports
from validators.data_folder.folder import DataFolder, read_json
from validators.data_folder.judging import VARIABLE, events_config
from validators.local_get import NO_ANSWER, Reply
from validators.models import ApiKey, ManagedNode, MembershipChange, NodePart, Platform
from validators.processes import founding, preparation, readiness
from validators.services import cluster
from validators.services.nodes import register_nodes

pytestmark = pytest.mark.django_db


class Room:
    """A data folder and the story of what is done in it."""

    def __init__(self, root: Path) -> None:
        self.folder = DataFolder(root)
        self.folder.create()
        self.calls = Recorder(root)
        self.story = Story()
        self.story.hidden[str(root)] = "DATA"

    def does(self, what: str, call: Any, *arguments: Any) -> Any:
        """Tell a call, and what it answers or refuses."""
        try:
            answered = call(self.folder, *arguments)
        except StartError as error:
            answered = f"StartError: {error}"
        told = f"  {cluster_of(answered[0])}; {answered[1]!r}" if isinstance(answered, tuple) else answered
        self.story.say(f"{what}: {told}")
        self.story.lines += self.calls.lines
        self.calls.lines.clear()
        return answered

    def rows(self) -> None:
        self.story.rows(ManagedNode, "node_id", "role", "part", "position", "desired", "generation")

    def files(self, *below: str) -> None:
        """Names of files below the folder."""
        for name in below:
            root = self.folder.root / name
            for path in sorted(root.rglob("*")):
                if path.is_file():
                    self.story.say(f"  {path.relative_to(self.folder.root)}")


def cluster_of(founded: genesis.Genesis) -> str:
    members = ", ".join(f"{each.id} {each.host}:{each.port}" for each in founded.members)
    return f"{genesis.mode(founded).value}, demo {founded.demo}: {members}"


@pytest.fixture
def room(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Room:
    settings.DATA = tmp_path
    made = Room(tmp_path)

    def choose(names: Any, *, first: int = 0) -> list[int]:
        made.calls.call("choose_ports", list(names), first=first)
        return [41_000 + place for place, _ in enumerate(names)]

    monkeypatch.setattr(preparation, "choose_ports", choose)
    monkeypatch.setattr(tcp_ports, "choose_ports", choose)
    for name in ("check_node_ports", "keep_apis", "keep_metrics_ports"):
        monkeypatch.setattr(tcp_ports, name, made.calls.function(name))
    return made


def test_what_is_prepared(golden: Compare, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    story, folder, places = room.story, room.folder, ClusterFolder(room.folder.root)
    for nodes in (0, 32):
        room.does(f"{nodes} nodes", preparation.ensure_cluster, nodes)
    founded, _ = room.does("three nodes", preparation.ensure_cluster, 3)
    room.does("again", preparation.ensure_cluster, 3)
    room.does("without a number", preparation.ensure_cluster, None)
    room.does("with another number", preparation.ensure_cluster, 5)
    room.does("as pbft", preparation.ensure_cluster, 3, Mode.PBFT)
    room.does("as raft", preparation.ensure_cluster, 3, Mode.RAFT)
    Platform.objects.create(pk=1, platform_id="ab" * 16)
    story.heading("rows")
    story.say(f"own: {preparation.own_members(folder, founded)}")
    room.does("registered", preparation.register_cluster, founded, ["node0", "node1", "node2"])
    room.rows()
    story.say(f"cluster noted: {Platform.objects.get().cluster == genesis.cluster_id(founded).hex()}")
    ManagedNode.objects.create(node_id="node7", part=NodePart.JOINING, position=7)
    ManagedNode.objects.create(node_id="node8", part=NodePart.LEFT, position=8)
    ManagedNode.objects.create(node_id="node9", part=NodePart.JOINING, position=9)
    for name in ("node7", "node8"):
        places.node(name).key.parent.mkdir(parents=True)
        write_private(places.node(name).key, b"key", replace=True)
    room.does("registered with newcomers", preparation.register_cluster, founded, ["node0", "node2"])
    room.rows()
    story.heading("the secret key")
    (folder.root / "secret.key").write_text("one")
    preparation.keep_fingerprint(folder)
    first = Platform.objects.get().secret_fingerprint
    (folder.root / "secret.key").write_text("other")
    preparation.keep_fingerprint(folder)
    story.say(f"{len(first)} characters, another one for another key: {first != fingerprint_now()}")
    story.heading("keys that are missing")
    for key in (places.learner_key, places.gateway_key):
        key.unlink()
        room.does(f"without {key.name}", preparation.ensure_cluster, None)
    golden(beside(__file__, "prepared"), str(story))


def fingerprint_now() -> str:
    return Platform.objects.get().secret_fingerprint


def test_which_accounts_are_made(golden: Compare, room: Room) -> None:
    story, kept = room.story, room.folder.keys / "platform.json"

    def accounts(what: str) -> Any:
        answered = room.does(what, preparation.ensure_accounts)
        for user in get_user_model().objects.order_by("pk"):
            fits = isinstance(answered, dict) and user.check_password(answered["admin_password"])
            story.say(f"  user {user.username} {user.is_staff} {user.is_superuser} password fits {fits}")
        story.rows(ApiKey, "label", "prefix", "scopes", "digest", "event", "lists", "products")
        return answered

    story.masked[re.compile(r"'admin_password': '[^']{24}'")] = "'admin_password': DRAWN"
    story.masked[re.compile(r"dtvn_[\w-]{43}")] = "the API key"
    story.masked[re.compile(r"dtvn_[\w-]{4}(?=,)")] = "dtvn_...."
    first = accounts("at the first start")
    story.say(f"  mode {kept.stat().st_mode & 0o777:o}, kept as told: {read_json(kept) == first}")
    accounts("at the second")
    user = get_user_model().objects.get()
    user.set_password("another one")
    user.is_staff = False
    user.save()
    accounts("with another password since")
    user.delete()
    ApiKey.objects.all().delete()
    accounts("without rows")
    kept.write_text("{")
    accounts("with a damaged file")
    golden(beside(__file__, "prepared_accounts"), str(story))


def test_which_judging_is_refused(
    golden: Compare,
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    settings: Any,
) -> None:
    story = room.story
    file = room.folder.root / "judging.toml"
    for named in (*sorted(PROFILES), "file"):
        for nodes, mode in ((1, None), (4, None), (3, Mode.RAFT), (None, Mode.RAFT), (99, None)):
            if named == "file":
                file.write_text(
                    'algorithm = "majority"\nquorum_size = 9\nheartbeat_interval = 5\nlog_level = "debug"\n'
                )
            monkeypatch.setenv(VARIABLE, str(file) if named == "file" else named)
            try:
                settings.EVENTS_CONFIG = events_config()
            except Exception as error:  # noqa: BLE001 - each is told
                story.say(f"{named}: {type(error).__name__}: {error}")
                break
            room.does(f"{named}, {nodes} nodes, {mode}", preparation.check_events_config, nodes, mode)
            story.logged(caplog)
    preparation.ensure_cluster(room.folder, 1)
    room.calls.lines.clear()
    for named in sorted(PROFILES):
        monkeypatch.setenv(VARIABLE, named)
        settings.EVENTS_CONFIG = events_config()
        room.does(f"{named}, of a cluster that is there", preparation.check_events_config, 7, Mode.RAFT)
        story.logged(caplog)
    settings.EVENTS_CONFIG = None
    room.does("nothing is asked for", preparation.check_events_config)
    golden(beside(__file__, "prepared_judging"), str(story))


def test_when_tables_and_static_files_are_made(
    golden: Compare, room: Room, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    story, calls, mark = room.story, room.calls, room.folder.static / ".collected"
    monkeypatch.setattr(preparation, "call_command", calls.function("call_command"))
    sources = room.folder.root / "sources"
    (sources / "deeper").mkdir(parents=True)
    settings.STATICFILES_DIRS = [str(sources)]
    settings.BASE_DIR = room.folder.root / "project"

    def collect(what: str) -> None:
        before = mark.read_text() if mark.exists() else None
        room.does(what, preparation.collect_static)
        story.say(f"  marked anew: {mark.read_text() != before}")

    collect("the first time")
    collect("the second time")
    (sources / "deeper" / "one.css").write_text("a {}")
    collect("a new file")
    (sources / "two.py").write_text("1")
    collect("a module of Python")
    (sources / "deeper" / "one.css").write_text("a { }")
    collect("a file of another size")
    mark.write_text("of an earlier version")
    collect("another mark")
    for answer in (None, DatabaseError("no such column\nand more")):
        calls.answers["call_command"] = answer
        room.does("tables", lambda folder: preparation.migrate())
    golden(beside(__file__, "prepared_tables"), str(story))


def test_how_a_server_makes_tables_one_platform_at_a_time(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = room.calls

    class Cursor:
        def __enter__(self) -> Any:
            return calls.thing("cursor")

        def __exit__(self, *_: object) -> None:
            calls.say("  closed")

    monkeypatch.setattr(preparation, "connection", SimpleNamespace(vendor="postgresql", cursor=Cursor))
    calls.answers["call_command"] = DatabaseError("no room")
    monkeypatch.setattr(preparation, "call_command", calls.function("call_command"))
    with pytest.raises(StartError, match=r"^the platform's database: no room$"):
        preparation.migrate()
    assert calls.lines == [
        "  cursor.execute('SELECT pg_advisory_lock(%s)', [1685354094])",
        "  call_command('migrate', interactive=False, verbosity=0)",
        "  cursor.execute('SELECT pg_advisory_unlock(%s)', [1685354094])",
        "  closed",
    ]
    assert connection.vendor


def test_how_clusters_follow_each_other(
    golden: Compare, room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    story, folder, places = room.story, room.folder, ClusterFolder(room.folder.root)
    story.masked[re.compile(r"\d{8}-\d{6}-[0-9a-f]{12}")] = "TIME-CLUSTER"
    Platform.objects.create(pk=1, platform_id="ab" * 16)

    def found(what: str, names: list[str], *more: Any) -> None:
        room.does(what, founding.found_cluster, names, "127.0.0.1:8000", *more)
        if places.genesis.exists():
            story.say(f"  {cluster_of(load_genesis(places.genesis))}")
        room.rows()
        story.logged(caplog)

    found("three", ["node0", "node1", "node2"])
    MembershipChange.objects.create(request={"change": "add"}, actor="user:a", nonce="1", state="done")
    MembershipChange.objects.create(request={"change": "add"}, actor="user:a", nonce="2")
    ManagedNode.objects.update(desired="running")
    found("the same", ["node0", "node1", "node2"])
    (folder.learner / "a").mkdir(parents=True)
    (folder.prometheus).write_text("[]")
    found("two, by raft", ["node0", "venue"], Mode.RAFT)
    story.rows(MembershipChange, "nonce", "state")
    room.files("earlier")
    found("one, as the one before", ["node0"])
    story.heading("a move that a crash interrupted")
    [first, *_] = sorted((folder.root / "earlier").iterdir())
    (first / founding.UNFINISHED).touch()
    (first / "cluster" / "genesis.bin").rename(first / "kept")
    (first / "cluster").rmdir()
    founding.finish_putting_aside(folder)
    story.say(f"  unfinished: {[path.name for path in (folder.root / 'earlier').glob('*/.unfinished')]}")
    story.say(f"  cluster here: {places.genesis.exists()}; there: {(first / 'cluster').exists()}")
    story.heading("a cluster of several parties")
    monkeypatch.setattr(founding, "load_genesis", lambda path: SimpleNamespace(demo=False))
    room.does("moved aside", founding.put_aside)
    golden(beside(__file__, "prepared_clusters"), str(story))


def test_what_is_asked_until_a_network_is_ready(
    golden: Compare, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    story, calls = room.story, room.calls
    monkeypatch.setattr(readiness, "get", calls.function("get"))
    for answer in (
        Reply(HTTPStatus.OK, b'{"sequence": 7, "more": 1}'),
        Reply(HTTPStatus.OK, b'{"sequence": "7"}'),
        Reply(HTTPStatus.OK, b"[]"),
        Reply(HTTPStatus.SERVICE_UNAVAILABLE, b'{"error": "node0 does not vote"}'),
        Reply(HTTPStatus.SERVICE_UNAVAILABLE, b'{"sequence": 7}'),
        Reply(HTTPStatus.NOT_FOUND, b"<html>"),
        NO_ANSWER[0]("refused"),
    ):
        calls.answers["get"] = answer
        for url in ("http://127.0.0.1:8000", "http://[::1]"):
            room.does(f"{answer!r}", lambda folder, url=url: readiness.ask(url))
    story.heading("which way out there is")
    story.say(f"{readiness.way_out()!r} {readiness.learned()} {readiness.node_states()!r}")
    register_nodes(["node0", "node1", "node2", "node3"])
    ManagedNode.objects.filter(node_id="learner").update(report={"sequence": 12})
    for stopped in (0, 1, 2, 3, 4):
        ManagedNode.objects.filter(node_id__in=[f"node{each}" for each in range(stopped)]).update(
            desired="stopped", status="error" if stopped % 2 else "stopped"
        )
        story.say(f"{stopped} stopped: {readiness.way_out()!r}")
    story.say(f"{readiness.learned()} {readiness.node_states()!r}")
    cluster.lock_cluster()
    row = cluster.cluster_now()
    row.error = "no room"
    row.save()
    story.say(f"after a start that failed: {readiness.way_out()!r}")
    golden(beside(__file__, "prepared_readiness"), str(story))
