"""What a splice costs: the time of a round trip and the bytes a second of a CURVE link, with and without.

Real processes: a splice (`manage.py splice`), a listener beside an echo (`dtvn.node.via`), and a dialler:
this process. `python -m benchmarks.splice [SECONDS]` prints both ways, and what splice and listener took.
"""

from __future__ import annotations

import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import zmq

from dtvn.files.whole import write_private
from dtvn.net import curve_keys, curve_public, encode_seed, endpoint_of, public_key_of
from dtvn.node.keys import peer_id
from dtvn.node.via import Via

NODE = b"n" * 32
DIALLER = b"d" * 32
ECHO_BYTES = 300
"""Of a small statement."""
CHUNK = 65_536
WINDOW = 64
"""Chunks under way: 4 MiB."""


def _serve(port_told: multiprocessing.Queue[int]) -> None:
    """The node: answers each frame with the same bytes, or with a short word if it is long."""
    socket = zmq.Context().socket(zmq.ROUTER)
    keys = curve_keys(NODE)
    socket.curve_server = 1
    socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
    port_told.put(socket.bind_to_random_port("tcp://127.0.0.1"))
    while True:
        route, frame = socket.recv_multipart()
        socket.send_multipart([route, b"got" if len(frame) >= CHUNK else frame])


@contextmanager
def _dialled(place: tuple[str, int]) -> Iterator[zmq.Socket[bytes]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    keys = curve_keys(DIALLER)
    socket.curve_serverkey = curve_public(public_key_of(NODE))
    socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
    socket.linger = 0
    socket.connect(endpoint_of(*place))
    socket.send(b"first")
    socket.recv()
    try:
        yield socket
    finally:
        context.destroy(linger=0)


def measure(place: tuple[str, int], seconds: float) -> tuple[float, float, float]:
    """p50 and p99 of an echo in milliseconds, and MiB a second to the node."""
    with _dialled(place) as socket:
        spent = []
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            before = time.perf_counter()
            socket.send(bytes(ECHO_BYTES))
            socket.recv()
            spent.append(1_000 * (time.perf_counter() - before))
        for _ in range(WINDOW):
            socket.send(bytes(CHUNK))
        count, begun = 0, time.perf_counter()
        while (now := time.perf_counter()) < begun + seconds:
            socket.recv()
            socket.send(bytes(CHUNK))
            count += 1
        cuts = statistics.quantiles(spent, n=100)
        return cuts[49], cuts[98], count * CHUNK / (now - begun) / 2**20


@contextmanager
def _splice(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    words = [
        "splice",
        "--data-dir",
        str(folder),
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--ports",
        "20100-20109",
    ]
    words += ["--allow", peer_id(public_key_of(NODE)), "--mib-a-second", "10000"]
    process = subprocess.Popen([sys.executable, "manage.py", *words], stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().split()[-1], psutil.Process(process.pid)  # type: ignore[union-attr]
    finally:
        process.terminate()
        process.wait()


def main(seconds: float) -> None:
    """Print what is measured."""
    told: multiprocessing.Queue[int] = multiprocessing.Queue()
    node = multiprocessing.Process(target=_serve, args=(told,), daemon=True)
    node.start()
    port = told.get()
    with tempfile.TemporaryDirectory() as name, _splice(Path(name) / "splice") as (multiaddr, process):
        key = Path(name) / "node.key"
        write_private(key, encode_seed(NODE))
        via = Via(multiaddr, key)
        try:
            place = via.wait()
            via.serve(port)
            if place is None:
                sys.exit(via.trouble)
            print("way       p50 ms   p99 ms   MiB/s")
            for way, where in (("direct", ("127.0.0.1", port)), ("splice", place)):
                print(f"{way:8} {'{:8.2f} {:8.2f} {:7.1f}'.format(*measure(where, seconds))}")
            [listener] = [
                each for each in psutil.Process().children() if "splice_listener" in " ".join(each.cmdline())
            ]
            for role, each in (("splice", process), ("listener", listener)):
                with suppress(psutil.Error):
                    times, memory = each.cpu_times(), each.memory_info().rss / 2**20
                    print(f"{role}: {times.user + times.system:.1f} s of processor, {memory:.0f} MiB")
        finally:
            via.close()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
