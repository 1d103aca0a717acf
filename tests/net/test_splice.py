"""The splice over real sockets: registrations, connections back, and what strangers and liars get (R45)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dtvn.net.splice import Limits, PortBook
from dtvn.net.splice_limits import Buckets, network_of
from dtvn.net.splice_listener import SpliceListener
from dtvn.net.splice_ports import NoPort
from dtvn.net.splice_wire import (
    FRAME_MAX,
    Data,
    Hello,
    Open,
    Ping,
    Refused,
    Register,
    Registered,
    SpliceError,
    connecting,
    decoded,
    encoded,
    read_frame,
)
from dtvn.protocol.scheme import ED25519
from tests.net.splices import (
    GREETING,
    LOOPBACK,
    NODE,
    OTHER,
    SEED,
    STRANGER,
    Bench,
    bench,
    ended,
    key_of,
    run,
    secret_of,
    takes,
)
from tests.ports import ports_in_a_row
from tests.support.table import table
from tests.waiting import until

SHORT = Limits(handshake=0.3, heartbeat=0.2, idle=0.6)


async def echoes(table: Bench, data: bytes = b"hello", seed: bytes = NODE) -> None:
    """A dialler gets back from the node what it sends."""
    reader, writer = await table.dial(seed)
    writer.write(GREETING + data)
    assert await reader.readexactly(len(GREETING + data)) == GREETING + data
    writer.close()


def test_a_dialler_reaches_a_node_that_only_dialled_out() -> None:
    async def story() -> None:
        async with bench() as table:
            await table.node()
            await echoes(table)
            await until(lambda: table.splice.splices == 0)
            assert table.splice.figures.splices == 1
            assert table.splice.figures.bytes == 2 * len(b"hello") + len(GREETING)

    run(story())


def test_large_answers_arrive_whole_and_many_diallers_are_kept_apart() -> None:
    async def story() -> None:
        async with bench() as table:
            await table.node()
            await asyncio.gather(*(echoes(table, bytes([at]) * 300_000) for at in range(12)))

    run(story())


def test_a_key_that_is_not_listed_is_refused_in_words() -> None:
    async def story() -> None:
        async with bench() as table:
            refused = await table.register(STRANGER)
            assert isinstance(refused, Refused)
            assert refused.code == "not_allowed"
            await table.node(STRANGER, local_port=1)
            assert "must allow this key" in table.reports[-1].trouble

    run(story())


def test_a_node_for_which_no_port_can_be_opened_is_told_so() -> None:
    async def story() -> None:
        port, taken = ports_in_a_row(2), None
        async with bench(ports=PortBook(port, port)) as table:
            await table.node(NODE)
            refused = await table.register(OTHER)
            assert isinstance(refused, Refused)
            assert refused.code == "no_port"
        async with bench(ports=PortBook(port, port)) as table:
            taken = await asyncio.start_server(lambda _reader, _writer: None, LOOPBACK, port)
            refused = await table.register(OTHER)
            taken.close()
            assert isinstance(refused, Refused)
            assert refused.code == "port_taken"

    run(story())


def test_a_replayed_registration_is_refused() -> None:
    """A signature that the splice accepted once is of no use: its challenge is fresh each time."""

    async def story() -> None:
        async with bench() as table:
            seen: list[Register] = []
            granted = await table.register(NODE, forge=lambda register: seen.append(register) or register)  # type: ignore[func-returns-value]
            assert isinstance(granted, Registered)
            refused = await table.register(NODE, forge=lambda _register: seen[0])
            assert isinstance(refused, Refused)
            assert refused.code == "bad_signature"

    run(story())


def test_a_registration_for_another_splice_is_refused() -> None:
    async def story() -> None:
        async with bench() as table:
            refused = await table.register(NODE, splice=key_of(STRANGER))
            assert isinstance(refused, Refused)
            assert refused.code == "bad_signature"

    run(story())


def test_a_listener_refuses_a_splice_with_another_key() -> None:
    async def story() -> None:
        async with bench() as table:
            reports: list[str] = []
            listener = SpliceListener(
                (LOOPBACK, table.port), key_of(STRANGER), NODE, lambda report: reports.append(report.trouble)
            )
            running = asyncio.ensure_future(listener.run())
            await until(lambda: bool(reports))
            running.cancel()
            assert "bad_signature" in reports[0]  # each binds its words to the other's key

    run(story())


def test_a_token_serves_once_and_only_the_node_that_was_told() -> None:
    async def story() -> None:
        async with bench() as table:
            reader, writer = await table.connect(table.port)
            granted = await _by_hand(table, reader, writer)
            dialler, dialling = await table.connect(granted.port)
            dialling.write(GREETING)
            token = await _told(reader)
            stolen = await _back(table, token, OTHER)
            assert await ended(stolen)
            mine = await _back(table, token, NODE)
            assert await mine.readexactly(len(GREETING)) == GREETING
            again = await _back(table, token, NODE)
            assert await ended(again)
            assert dialler.at_eof() is False

    run(story())


def test_a_node_that_began_again_takes_over_its_port_at_once() -> None:
    """The splice did not notice the end of the first life."""

    async def story() -> None:
        async with bench() as table:
            first, writer = await table.connect(table.port)
            granted = await _by_hand(table, first, writer)
            await table.node(NODE)
            assert table.reports[0].port == granted.port
            await echoes(table)

    run(story())


def test_a_listener_comes_back_to_the_same_port_after_the_splice_was_gone(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(SHORT) as table:
            await table.node()
            before = table.reports[0].port
            await table.restart()
            await until(lambda: key_of(NODE) in table.splice.registered)
            assert table.splice.registered[key_of(NODE)] == before
            await echoes(table)

    run(story())


def test_a_silent_listener_loses_its_port_and_diallers_are_refused_at_once() -> None:
    async def story() -> None:
        async with bench(SHORT) as table:
            reader, writer = await table.connect(table.port)
            granted = await _by_hand(table, reader, writer)  # it answers no ping
            await until(lambda: not table.splice.registered)
            with pytest.raises(ConnectionRefusedError):
                await table.connect(granted.port)
            assert "silent" in table.said[-1]

    run(story())


def test_a_node_that_does_not_listen_yet_lets_the_dialler_go_at_once() -> None:
    async def story() -> None:
        async with bench() as table:
            await table.node(local_port=0)
            reader, writer = await table.dial()
            writer.write(GREETING)
            assert await takes(2.0, ended(reader))

    run(story())


def test_a_key_that_is_no_longer_allowed_loses_port_and_connections() -> None:
    async def story() -> None:
        async with bench(SHORT) as table:
            await table.node()
            reader, writer = await table.dial()
            writer.write(GREETING)
            await reader.readexactly(len(GREETING))
            del table.allowed[key_of(NODE)]
            assert await ended(reader)
            await until(lambda: not table.splice.registered)

    run(story())


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", bytes(10)])
def test_what_is_not_zeromq_does_not_reach_the_node(words: bytes) -> None:
    async def story() -> None:
        async with bench() as table:
            await table.node()
            reader, writer = await table.dial()
            writer.write(words)
            assert await ended(reader)
            assert table.splice.figures.splices == 0

    run(story())


def test_slow_diallers_and_slow_listeners_are_let_go() -> None:
    """One that sends half a greeting, and one that says nothing at the port of registrations."""

    async def story() -> None:
        async with bench(SHORT) as table:
            await table.node()
            reader, writer = await table.dial()
            writer.write(GREETING[:9])
            assert await takes(2.0, ended(reader))
            reader, _writer = await table.connect(table.port)
            assert await takes(2.0, ended(reader))
            assert table.splice.figures.refused["slow"] == 2

    run(story())


def test_an_idle_splice_ends() -> None:
    async def story() -> None:
        async with bench(SHORT) as table:
            await table.node()
            reader, writer = await table.dial()
            writer.write(GREETING)
            await reader.readexactly(len(GREETING))
            assert await takes(3.0, ended(reader))
            await until(lambda: table.splice.splices == 0)

    run(story())


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(splices=2), "splices"),
        (Limits(splices_a_key=2), "splices_a_key"),
        (Limits(splices_an_address=2), "splices_an_address"),
        (Limits(dials_burst=2, dials_a_second=0.01), "dials_a_second"),
    ],
)
def test_over_a_bound_the_newcomer_is_let_go_and_the_others_stay(limits: Limits, code: str) -> None:
    async def story() -> None:
        async with bench(limits) as table:
            await table.node()
            kept = []
            for _ in range(2):
                reader, writer = await table.dial()
                writer.write(GREETING)
                await reader.readexactly(len(GREETING))
                kept.append((reader, writer))
            reader, _writer = await table.dial()
            assert await takes(2.0, ended(reader))
            assert table.splice.figures.refused == {code: 1}
            for reader, writer in kept:
                writer.write(b"still here")
                assert await reader.readexactly(10) == b"still here"

    run(story())


def test_bytes_a_second_are_bounded_without_losing_any() -> None:
    async def story() -> None:
        async with bench(Limits(bytes_a_second=400_000.0)) as table:
            await table.node()
            before = asyncio.get_running_loop().time()
            await echoes(table, bytes(300_000))
            assert asyncio.get_running_loop().time() - before > 0.8  # 600,000 bytes, of which 100,000 at once

    run(story())


def test_a_reader_that_stands_still_fills_no_memory() -> None:
    """A node sends without end; its dialler reads nothing."""

    async def story() -> None:
        sent = 0

        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            table.keep(writer)
            while True:
                writer.write(bytes(65_536))
                await writer.drain()
                sent += 65_536

        async with bench(Limits(idle=60.0)) as table:
            server = await asyncio.start_server(flood, LOOPBACK, 0)
            await table.node(local_port=server.sockets[0].getsockname()[1])
            _reader, writer = await table.dial()
            _reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(GREETING)
            levels = [-1]

            def stands() -> bool:
                levels.append(sent)
                return sent > 0 and sent == levels[-2]

            await until(stands, pause=0.3)
            assert sent < 32 * 2**20  # kernels' buffers of three connections, and half a MiB here
            server.close()

    run(story())


def test_failed_registrations_of_one_address_run_out() -> None:
    async def story() -> None:
        async with bench(Limits(failures_burst=3, failures_a_second=0.01)) as table:
            for _ in range(3):
                assert isinstance(await table.register(STRANGER), Refused)
            with pytest.raises((SpliceError, ConnectionError)):
                await table.register(STRANGER)
            assert table.splice.figures.refused["handshakes"] == 1

    run(story())


@table(
    "words",
    [
        b"\0\0",
        (FRAME_MAX + 1).to_bytes(2, "big"),
        b"\xff\xff",
        b"\0\x01\x63",
        b"\0\x02\x01\xc0",
        encoded(Ping()),
        encoded(Hello(bytes(32))) + encoded(Ping()),
    ],
    count=7,
)
def test_malformed_frames_end_their_connection_and_nothing_else(words: bytes) -> None:
    async def story() -> None:
        async with bench() as table:
            await table.node()
            reader, writer = await table.connect(table.port)
            writer.write(words)
            assert await takes(2.0, _ends(reader))
            await echoes(table)

    run(story())


def test_no_frame_but_those_of_the_protocol_is_read() -> None:
    for data in (b"", b"\0", b"\x0b", b"\x01", encoded(Hello(bytes(32)))[2:] + b"\0"):
        with pytest.raises(SpliceError):
            decoded(data)
    assert decoded(encoded(Hello(bytes(32)))[2:]) == Hello(bytes(32))


# --- by hand -------------------------------------------------------------------------------------


async def _by_hand(table: Bench, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Registered:
    """Register NODE over this connection."""
    from dtvn.net.splice_wire import Challenge, registering

    writer.write(encoded(Hello(bytes(32))))
    challenge = await read_frame(reader)
    assert isinstance(challenge, Challenge)
    said = registering(key_of(SEED), challenge.nonce, bytes(32), key_of(NODE), 0)
    writer.write(encoded(Register(key_of(NODE), 0, ED25519.sign(secret_of(NODE), said))))
    granted = await read_frame(reader)
    assert isinstance(granted, Registered)
    return granted


async def _told(reader: asyncio.StreamReader) -> bytes:
    """The token of the dialler that the splice tells of."""
    while True:
        frame = await read_frame(reader)
        if isinstance(frame, Open):
            return frame.token


async def _back(table: Bench, token: bytes, seed: bytes) -> asyncio.StreamReader:
    """A connection back with a token."""
    reader, writer = await table.connect(table.port)
    signature = ED25519.sign(secret_of(seed), connecting(key_of(SEED), key_of(seed), token))
    writer.write(encoded(Data(token, signature)))
    return reader


async def _ends(reader: asyncio.StreamReader) -> bool:
    """Whether the other side closes, whatever it said before."""
    try:
        while await reader.read(1_024):
            pass
    except ConnectionResetError:
        return True
    return True


def test_ports_are_kept_over_restarts_and_never_given_twice(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    book = PortBook(100, 102, file)
    one, two, three = (bytes([at]) * 32 for at in range(3))
    allowed = {one, two, three}
    assert [book.assign(key, 0, allowed) for key in (one, two)] == [100, 101]
    again = PortBook(100, 102, file)
    assert again.assign(two, 100, allowed) == 101
    assert again.assign(three, 102, allowed) == 102


def test_when_all_ports_are_given_away_only_those_of_departed_keys_are_given_again() -> None:
    book = PortBook(100, 101)
    one, two, three = (bytes([at]) * 32 for at in range(3))
    allowed = {one, two, three}
    assert [book.assign(key, 0, allowed) for key in (one, two)] == [100, 101]
    with pytest.raises(NoPort, match="all 2 ports"):
        book.assign(three, 0, allowed)
    assert book.assign(three, 0, allowed - {one}) == 100
    with pytest.raises(NoPort):
        book.assign(one, 100, allowed)


def test_a_port_that_the_operator_names_is_that_keys_alone() -> None:
    book = PortBook(100, 101)
    one, two = bytes(32), b"2" * 32
    assert book.assign(one, 0, {one, two}) == 100
    assert book.assign(two, 0, {one, two}, {two: 100}) == 100
    assert book.assign(one, 100, {one, two}, {two: 100}) == 101


@pytest.mark.parametrize("content", ["[]", "{", '{"xy": 1}', '{"00": "x"}'])
def test_a_damaged_file_of_ports_is_not_overwritten(tmp_path: Path, content: str) -> None:
    file = tmp_path / "ports.json"
    file.write_text(content)
    with pytest.raises(ValueError, match="does not hold"):
        PortBook(100, 101, file)
    assert file.read_text() == content


def test_buckets_are_forgotten_when_nothing_counts_against_their_owners() -> None:
    buckets = Buckets(1.0, 2.0, kept_max=3)
    for owner in range(3):
        assert buckets.of(owner, 0.0).allows(0.0)
    assert buckets.of(9, 0.1).allows(0.1)
    assert len(buckets) == 3  # the oldest went
    assert len([buckets.of(owner, 60.0) for owner in (1, 7)]) == 2
    assert len(buckets) <= 3


def test_who_owes_is_not_forgotten_for_newcomers_while_others_owe_nothing() -> None:
    buckets = Buckets(1.0, 2.0, kept_max=3)
    buckets.of("greedy", 0.0).owe(100.0, 0.0)
    for number in range(9):
        buckets.of(number, 1.0)
    assert not buckets.of("greedy", 2.0).allows(2.0)


def test_one_host_is_one_address_whatever_its_ipv6_addresses() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:192.0.2.7") == network_of("192.0.2.7") != network_of("192.0.2.8")
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
