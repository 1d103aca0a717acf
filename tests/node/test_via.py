"""A node behind a splice, with the real processes: `manage.py splice`, and the listener beside the node."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import zmq

from dtvn.files.whole import write_private
from dtvn.net import ZmqTransport, curve_keys, encode_seed, public_key_of
from dtvn.node.keys import dev_seed, peer_id
from dtvn.node.options import StartError, UsageError
from dtvn.node.own_folder import prepare
from dtvn.node.provision import create_demo_cluster, dev_genesis
from dtvn.node.settings import settings_of
from dtvn.node.splice_allowed import Allowed, read_allowed
from dtvn.node.splice_run import splice_of
from dtvn.node.via import Via
from dtvn.protocol.consensus.effects import Send
from tests.integration.node_cluster import ROOT, environment
from tests.ports import LOOPBACK, ports_in_a_row
from tests.waiting import PATIENCE, allowed, wait_until

SEED = dev_seed("node1")
SPLICE = f"/ip4/127.0.0.1/tcp/7100/p2p/{peer_id(public_key_of(SEED))}"
MARKER = b"this is read by nobody on the way"


class SpliceHere:
    """`manage.py splice` on this machine; it allows node1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.low = ports_in_a_row(4)
        self.multiaddr = ""
        self.lines: list[str] = []
        self.start()

    def start(self) -> None:
        words = ["--data-dir", str(self.folder), "--host", LOOPBACK, "--port", str(self.low + 3)]
        words += ["--ports", f"{self.low}-{self.low + 2}", "--allow", peer_id(public_key_of(SEED))]
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "splice", *words],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("splice at "), said
        self.multiaddr = said.split()[-1]
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as said:
            self.lines.extend(said)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def splice(tmp_path: Path) -> Iterator[SpliceHere]:
    here = SpliceHere(tmp_path / "splice")
    try:
        yield here
    finally:
        here.end(signal.SIGKILL)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    write_private(tmp_path / "node.key", encode_seed(SEED))
    return tmp_path / "node.key"


@contextmanager
def registered(splice: SpliceHere, key: Path, kept: Path | None = None) -> Iterator[Via]:
    via = Via(splice.multiaddr, key, kept=kept)
    try:
        yield via
    finally:
        via.close()


class Middle:
    """Somebody on the way to a port: reads all bytes, and may alter them."""

    def __init__(self, target: tuple[str, int], alter: Callable[[bytes], bytes] = bytes) -> None:
        self._target, self.alter = target, alter
        self.seen = bytearray()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                try:
                    other = socket.create_connection(self._target)
                except ConnectionRefusedError:
                    one.close()
                    continue
                for source, sink in ((one, other), (other, one)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with source:
            with suppress(OSError):
                while data := source.recv(65_536):
                    self.seen += data
                    sink.sendall(self.alter(data))
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Pair:
    """Member 0, and member 1 behind the splice; `middle` stands between the two."""

    def __init__(self, via: Via) -> None:
        genesis = dev_genesis(2, LOOPBACK, lambda index: 1 + index)
        place = via.wait()
        assert place is not None
        self.contexts = [zmq.Context(), zmq.Context()]
        self.far = ZmqTransport(self.contexts[1], genesis, 1, SEED, bind=place, local=True)
        via.serve(self.far.local_port)
        self.middle = Middle(place)
        self.near = ZmqTransport(
            self.contexts[0],
            genesis,
            0,
            dev_seed("node0"),
            bind=(LOOPBACK, 0),
            addresses={1: (LOOPBACK, self.middle.port)},
        )
        self.got: list[bytes] = []

    def turn(self) -> None:
        for transport in (self.near, self.far):
            transport.wait(1_000_000)
        self.got += [each.frame for transport in (self.near, self.far) for each in transport.receive(100)]

    def linked(self) -> bool:
        self.turn()
        return self.near.connected() == ["node1"] and self.far.connected() == ["node0"]

    def arrives(self, frame: bytes) -> bool:
        """Send it both ways until it arrived twice at least."""
        before = self.got.count(frame)
        self.near.send(Send(1, frame))
        self.far.send(Send(0, frame))
        for _ in range(50):
            self.turn()
            if self.got.count(frame) >= before + 2:
                return True
        return False

    def close(self) -> None:
        self.middle.close()
        for transport in (self.near, self.far):
            transport.close()
        for context in self.contexts:
            context.destroy(linger=0)


@contextmanager
def pair(via: Via) -> Iterator[Pair]:
    made = Pair(via)
    try:
        yield made
    finally:
        made.close()


FRAME = b"\x93\x05" + MARKER
"""The transport looks at the kind only."""


def test_two_members_talk_through_a_splice_that_reads_nothing(splice: SpliceHere, key: Path) -> None:
    with registered(splice, key) as via, pair(via) as both:
        wait_until(both.linked, what="linked")
        assert both.far.address == via.address
        wait_until(lambda: both.arrives(FRAME), what="a frame each way")
        assert len(both.middle.seen) > 2 * len(MARKER)
        assert MARKER not in both.middle.seen


def test_who_alters_bytes_on_the_way_only_ends_the_link(splice: SpliceHere, key: Path) -> None:
    """Sockets without heartbeats: docs/understand/threat-model.md says why."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    answering, asking = context.socket(zmq.REP), context.socket(zmq.DEALER)
    far, near = curve_keys(SEED), curve_keys(dev_seed("node0"))
    answering.curve_server = 1
    answering.curve_publickey, answering.curve_secretkey = far.public, far.secret
    asking.curve_serverkey = far.public
    asking.curve_publickey, asking.curve_secretkey = near.public, near.secret
    asking.handshake_ivl = 300
    answering.linger = asking.linger = 0
    got: list[bytes] = []

    def answered() -> bool:
        asking.send_multipart([b"", MARKER])
        if answering.poll(100):
            got.append(answering.recv())
            answering.send(got[-1])
        if asking.poll(100):
            got.append(asking.recv_multipart()[-1])
            return True
        return False

    with registered(splice, key) as via:
        place = via.wait()
        assert place is not None
        via.serve(answering.bind_to_random_port(f"tcp://{LOOPBACK}"))
        middle = Middle(place)
        asking.connect(f"tcp://{LOOPBACK}:{middle.port}")
        wait_until(answered, what="an answer")
        middle.alter = lambda data: data[:-1] + bytes([data[-1] ^ 1])
        assert not any([answered() for _ in range(10)][1:])  # the first may be of before
        middle.alter = bytes
        wait_until(answered, what="an answer again")
        assert set(got) == {MARKER}
        assert MARKER not in middle.seen
        middle.close()
    context.destroy(linger=0)


def listeners() -> list[psutil.Process]:
    """Processes of listeners below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "dtvn.net.splice_listener" in process.cmdline():
                found.append(process)
    return found


def test_a_listener_that_is_killed_is_started_again_and_serves_the_same_port(
    splice: SpliceHere, key: Path
) -> None:
    with registered(splice, key) as via, pair(via) as both:
        wait_until(both.linked, what="linked")
        place = via.address
        [killed] = listeners()
        killed.kill()
        wait_until(lambda: not both.linked(), what="the link ends")
        wait_until(both.linked, what="linked again")
        assert via.address == place
        assert listeners() != [killed]


PROGRAM = """\
import sys, time
from pathlib import Path
from dtvn.node.via import Via
via = Via(sys.argv[1], Path(sys.argv[2]))
print(via.wait(60), flush=True)
time.sleep(600)
"""


def test_the_listener_ends_with_its_node_however_that_ends(splice: SpliceHere, key: Path) -> None:
    words = [sys.executable, "-c", PROGRAM, splice.multiaddr, str(key)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        assert str(splice.low) in node.stdout.readline()
        [listener] = psutil.Process(node.pid).children()
        node.kill()
        before = time.monotonic()
        wait_until(lambda: not listener.is_running(), what="the listener ended")
        assert time.monotonic() - before < allowed(1.0)
    wait_until(lambda: any(line.startswith("lost") for line in splice.lines), what="the splice noticed")


def test_a_place_is_kept_while_the_splice_is_away_and_after_it_lost_its_ports(
    splice: SpliceHere, key: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "via"
    ports = splice.folder / "ports.json"
    with registered(splice, key, kept) as via:
        place = via.wait(PATIENCE)
    ports.write_text("{}")
    splice.end()
    with registered(splice, key, kept) as via:
        assert via.wait(0.5) == place
        assert via.trouble
        splice.start()
        wait_until(lambda: not via.trouble, what=lambda: via.trouble)
        assert via.address == place


def test_a_key_that_the_splice_does_not_know_is_told_so(splice: SpliceHere, tmp_path: Path) -> None:
    write_private(tmp_path / "other.key", encode_seed(dev_seed("other")))
    with registered(splice, tmp_path / "other.key") as via:
        assert via.wait(1.0) is None
        wait_until(lambda: "not_allowed" in via.trouble, what=lambda: via.trouble)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "/ip4/127.0.0.1/tcp/7100", "/ip4/127.0.0.1/tcp/7100/p2p/wrong"]
)
def test_a_splice_without_its_key_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"form|PEER-ID|peer id"):
        Via(text, tmp_path / "node.key")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"via": "/ip4/127.0.0.1/tcp/7100"}, "-via: .*no /p2p/PEER-ID"),
        (
            {"via": SPLICE, "port": "4001"},
            "contradict",
        ),
        ({"via": SPLICE, "host": "::"}, "contradict"),
    ],
)
def test_unusable_settings_are_refused_in_one_line(flags: dict[str, str], said: str, tmp_path: Path) -> None:
    create_demo_cluster(tmp_path, 1, LOOPBACK, [1])
    settings = settings_of({"id": "node0", "data_dir": str(tmp_path), **flags}, {})
    with pytest.raises(UsageError, match=said):
        prepare(settings, "", lambda _text: None, lambda _text: None)


# --- who may register ------------------------------------------------------------------------------

ONE, TWO = (peer_id(public_key_of(dev_seed(name))) for name in ("one", "two"))


def test_members_and_principals_of_a_genesis_may_register(tmp_path: Path) -> None:
    create_demo_cluster(tmp_path, 4, LOOPBACK, [1, 2, 3, 4])
    may = Allowed([tmp_path / "cluster/genesis.bin"], [ONE], None)()
    assert public_key_of(dev_seed("one")) in may
    assert len(may) == 4 + 2 + 4 + 1  # members, gateway and learner, their own APIs


def test_the_file_is_read_again_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "allowed"
    file.write_text(f"# nodes of the venue\n{ONE} 7105  # its platform\n")
    may = Allowed([], [], file)
    assert may() == {public_key_of(dev_seed("one")): 7105}
    file.write_text(f"{ONE}\n{TWO}\n")
    assert len(may()) == 2
    file.write_text("nonsense here\n")
    assert len(may()) == 2
    assert "line 1" in may.trouble
    file.write_text(f"{TWO}\n")
    os.utime(file, (1, 1))
    assert list(may()) == [public_key_of(dev_seed("two"))]
    assert may.trouble == ""


@pytest.mark.parametrize("text", ["x", f"{ONE} 70000", f"{ONE} 1 2", f"{ONE} 7\n{TWO} 7"])
def test_lines_that_say_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        read_allowed(text)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Nobody may register"),
        ({"allow": ["x"]}, "line 1"),
        ({"allow": [ONE], "ports": "7-"}, "LOW-HIGH"),
        ({"allow": [ONE], "ports": "9-7"}, "range"),
        ({"allow": [ONE], "mib_a_second": 0.0}, "positive"),
        ({"allow_file": Path("/nowhere/to/be/found")}, "cannot be used"),
        ({"genesis": [Path("/nowhere/to/be/found")]}, "cannot be read"),
    ],
)
def test_a_splice_that_cannot_be_run_says_why(given: dict[str, object], said: str, tmp_path: Path) -> None:
    plain = {"data_dir": tmp_path, "ports": "7101-7199", "public": "", "genesis": [], "allow": []}
    bounds = dict.fromkeys(("splices_a_key", "splices_an_address", "dials_a_second", "mib_a_second"))
    with pytest.raises(StartError, match=said):
        splice_of({**plain, **bounds, "allow_file": None, **given}, lambda _text: None)


def test_whom_a_splice_allows_may_be_written_once_it_runs(tmp_path: Path) -> None:
    """Somebody whose list is still empty starts it, and adds the members when they tell their keys."""
    listed = tmp_path / "allowed"
    listed.write_text("")
    bounds = dict.fromkeys(("splices_a_key", "splices_an_address", "dials_a_second", "mib_a_second"))
    plain = {"data_dir": tmp_path, "ports": "7101-7199", "public": "", "genesis": [], "allow": []}
    _, allowed = splice_of({**plain, **bounds, "allow_file": listed}, lambda _text: None)
    assert not allowed()
    began = listed.stat().st_mtime_ns
    listed.write_text(f"{ONE}\n")
    os.utime(listed, ns=(began, began))
    assert list(allowed()) == [public_key_of(dev_seed("one"))], "its size changed within one tick of the disk"
