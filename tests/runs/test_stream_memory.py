"""Streams whose clients read no verdict: what the web process holds of them. On daphne, over sockets."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Thread

import psutil
import pytest

from events.services.clients import CLIENTS_EACH
from tests.events.rules.samples import event
from tests.fake_gateway import FakeGateway
from tests.runs.served import LOOPBACK, serving
from tests.team_keys import store_key
from tests.waiting import wait_until
from validators.web.live_body import HELD_MAX, PIECE_BYTES, LiveBody

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
    pytest.mark.bench,
    pytest.mark.timeout(300),
]

KEYS = [f"dtvn_key_{number}" for number in range(5)]
STREAMS = 40
BODY = 15 * 1024 * 1024
SETTLED = 30
"""Looks in a row, half a second apart, between which nothing was taken."""
RISE = 200 * 1024 * 1024
"""Bytes, with what the four members keep of each run, which judge in this process here: 142 MiB were seen,
and 400 MiB when bodies were read on while their verdicts were not."""
HELD_BY_ALL = STREAMS * (HELD_MAX + 2 * PIECE_BYTES)
LINE = b'{"type":"RAW","event":"%b"}\n' % (b"x" * 1_000)
MANY = LINE * (BODY // len(LINE))


@pytest.fixture
def port(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    for key in KEYS:
        store_key(key, label=key)
    with serving(monkeypatch) as port:
        yield port


class Deaf:
    """A client that sends all that is taken, and reads nothing; in chunks, or with a length."""

    def __init__(self, port: int, key: str, name: str, form: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.connect((LOOPBACK, port))
        first = event(f"RS:{name}", threadId=name) + b"\n"
        whole = len(first) + len(MANY)
        field = f"Content-Length: {whole}" if form == "recorded" else "Transfer-Encoding: chunked"
        head = f"POST /api/v1/events/stream?recorded=false HTTP/1.1\r\nHost: localhost:8080\r\n{field}\r\n"
        chunk = b"" if form == "recorded" else b"%x\r\n" % whole
        self._parts = [f"{head}X-API-Key: {key}\r\n\r\n".encode() + chunk + first, MANY]
        self.sent = 0
        self.sending = Thread(target=self._send, daemon=True)
        self.sending.start()

    def _send(self) -> None:
        try:
            for part in self._parts:
                view = memoryview(part)
                while view:
                    taken = self.socket.send(view[:65_536])
                    view, self.sent = view[taken:], self.sent + taken
        except OSError:
            """The test is over."""


@pytest.mark.parametrize("form", ["live", "recorded"])
def test_streams_that_nobody_reads_hold_a_bounded_memory(port: int, form: str) -> None:
    process = psutil.Process()
    with ExitStack() as stack:
        before = process.memory_info().rss
        clients = [Deaf(port, KEYS[n % len(KEYS)], f"s{n}", form) for n in range(STREAMS)]
        for one in clients:
            stack.callback(one.socket.close)
        assert CLIENTS_EACH * len(KEYS) >= STREAMS
        seen: list[int] = []

        def settled() -> bool:
            seen.append(sum(one.sent for one in clients))
            return len(seen) > SETTLED and seen[-1] == seen[-SETTLED]

        wait_until(settled, what="nothing more is taken", timeout=240, pause=0.5)
        rise = process.memory_info().rss - before
        print(f"{form}: {seen[-1] / 2**20:.0f} MiB sent, rise {rise / 2**20:.0f} MiB")  # noqa: T201
        held = sum(len(one._held) for one in gc.get_objects() if isinstance(one, LiveBody))
        assert held <= HELD_BY_ALL
        assert rise < RISE
