"""Queues of a link, frames and limits of a splice, addresses, key files and log lines, told whole."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.log_limit import KINDS_MAX, OneLineASecond
from dtvn.net.inbox import Inbox
from dtvn.net.keyfile import KeyFileError, encode_seed, ensure_seed, public_key_of, read_named_seed
from dtvn.net.multiaddr import format_multiaddr, parse_multiaddr
from dtvn.net.queues import Lane, Outbound, lane_of
from dtvn.net.splice_limits import Bucket, Buckets, network_of
from dtvn.net.splice_wire import (
    Challenge,
    Data,
    Declined,
    Hello,
    Open,
    Ping,
    Pong,
    Refused,
    Register,
    Registered,
    SpliceError,
    connecting,
    decoded,
    encoded,
    granting,
    registering,
)
from dtvn.node.json_lines import JsonLines
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.wire.envelope import encode_envelope
from tests.golden import Compare

GOLDEN = Path(__file__).parent / "golden"
SECOND = 1_000_000_000
VOTE, BULK = encode_envelope(17, b"", b""), encode_envelope(1, b"", b"")
NONCE = bytes(range(32))


class Tray:
    """An inbox, and all that goes in and out of it."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.lines: list[str] = []
        self.taken: list[Inbound] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def put(self, name: str, frame: bytes, now: int, wall: int, member: int | None = None) -> None:
        self.inbox.put(Peer(name=name, member=member), frame, now, wall)

    def drain(self, limit: int) -> None:
        self.taken = self.inbox.drain(limit)
        self.say(f"drain {limit}: {' '.join(map(self._shown, self.taken)) or '-'}; {len(self.inbox)} wait")

    def counters(self, *names: str) -> None:
        for name in names:
            self.say(f"  {name}: {self.inbox.counters(name)}")

    @staticmethod
    def _shown(item: Inbound) -> str:
        member = "" if item.peer.member is None else f"({item.peer.member})"
        return f"{item.peer.name}{member}{'v' if lane_of(item.frame) is Lane.CONSENSUS else 'b'}{item.taken}"


def test_inbox(golden: Compare) -> None:
    """Turns, shares, debts, mutes, epochs and forgotten peers."""
    tray = Tray()
    for wall in range(12):
        for name, member in (("noisy", 1), ("quiet", 2)):
            if name == "noisy" or wall % 3 == 0:
                tray.put(name, VOTE, wall, wall, member)
                tray.put(name, BULK, wall, wall, member)
    for limit in (8, 3):
        tray.drain(limit)
    tray.inbox.put_back(tray.taken[1:])
    tray.say(f"put back two; empty {tray.inbox.empty}")
    tray.inbox.charge("noisy", 20)
    for _turn in range(4):
        tray.drain(6)
    tray.counters("noisy", "quiet", "unknown")
    _mutes(tray)
    _epochs(tray)
    _drawn(tray)
    golden(GOLDEN / "inbox.txt", "\n".join(tray.lines) + "\n")


def _mutes(tray: Tray) -> None:
    tray.say("")
    tray.say("# Bad frames mute, longer each time, until they are forgiven")
    now = 100 * SECOND
    for count in range(70):
        mute = tray.inbox.bad_frame("forger", now + count)
        if mute:
            tray.say(f"bad frame {count}: muted {mute}")
            now += mute
        tray.put("forger", VOTE, now + count, count)
    tray.drain(64)
    tray.counters("forger")
    for later in (60, 1):
        now += later * SECOND
        for _count in range(15):
            tray.inbox.bad_frame("forger", now)
        tray.say(f"{later} s later the sixteenth mutes {tray.inbox.bad_frame('forger', now)}")
    tray.say("# Bulk alone is muted")
    for wall in range(3):
        tray.put("bulky", BULK, now, wall)
        tray.put("bulky", VOTE, now, wall)
    tray.inbox.mute_bulk("bulky", now)
    for later in (0, 19_999_999, 20_000_000):
        tray.put("bulky", BULK, now + later, later)
    tray.drain(64)
    tray.counters("bulky")


def _epochs(tray: Tray) -> None:
    tray.say("")
    tray.say("# Another epoch: members have other places, or none")
    for name, member in (("stays", 1), ("moves", 2), ("goes", 3), ("client", None)):
        tray.put(name, VOTE, 0, 1, member)
        tray.put(name, BULK, 0, 2, member)
    tray.inbox.follow({"stays": 1, "moves": 0})
    tray.inbox.forget("client")
    tray.inbox.forget("forger")
    tray.drain(64)
    tray.counters("stays", "moves", "goes", "client", "forger")


def _drawn(tray: Tray) -> None:
    tray.say("")
    tray.say("# What comes is drawn")
    drawn = random.Random(5)
    for step in range(60):
        for _frame in range(drawn.randint(0, 6)):
            name = drawn.choice(("a", "a", "a", "b", "c"))
            tray.put(name, drawn.choice((VOTE, BULK)), step * SECOND, step)
        if drawn.random() < 0.2:
            tray.inbox.charge("a", drawn.randint(1, 40))
        if drawn.random() < 0.1:
            tray.inbox.bad_frame("b", step * SECOND)
        tray.drain(drawn.randint(1, 8))
        if drawn.random() < 0.3:
            tray.inbox.put_back(tray.taken[drawn.randint(0, len(tray.taken)) :])
    tray.counters("a", "b", "c")


def test_outbound_and_limits(golden: Compare) -> None:
    """Lanes of one peer, buckets of rates, networks, multiaddresses."""
    lines = ["# Lanes of three frames and a hundred bytes"]
    outbound = Outbound(frames_max=3, bytes_max=100)
    for lane, size in (
        (1, 30),
        (0, 10),
        (1, 40),
        (0, 11),
        (1, 31),
        (1, 5),
        (0, 99),
        (0, 2),
        (1, 101),
        (0, 1),
        (1, 100),
        (1, 0),
    ):
        frame = bytes((lane, size)) * size
        lines.append(
            f"put {Lane(lane).name} {size}: dropped {outbound.put(Lane(lane), frame)}, {len(outbound)} wait"
        )
    for _frame in range(3):
        first = outbound.first() or b""
        lines.append(f"first {first[:1].hex()} {len(first)}")
        outbound.sent()
    outbound.put(Lane.BULK, b"one more")
    lines.append(f"cleared {outbound.clear()}, {len(outbound)} left")
    outbound.sent()
    for frame in (
        b"",
        b"\x94\x10",
        VOTE,
        BULK,
        b"\x94\x0f\0",
        b"\x94\x10\0",
        b"\x94\x3f\0",
        b"\x94\x40\0",
        b"\x94\x4c\0",
        b"\x94\x4d\0",
        b"\x94\x4e\0",
        b"\x93\x10\0",
    ):
        lines.append(f"lane of {frame[:3].hex()} {lane_of(frame).name}")
    lines += _buckets()
    lines += _addresses()
    golden(GOLDEN / "outbound.txt", "\n".join(lines) + "\n")


def _buckets() -> list[str]:
    lines = ["# A bucket of two a second, three at once"]
    bucket = Bucket(2.0, 3.0)
    for now in (0.0, 0.0, 0.0, 0.0, 0.4, 0.5, 0.5, 0.2, 5.0):
        before = bucket.is_empty(now)
        lines.append(f"at {now}: empty {before}, allows {bucket.allows(now)}, full {bucket.is_full(now)}")
    for amount, now in ((1.0, 5.0), (6.0, 5.0), (1.0, 6.0), (0.0, 20.0)):
        lines.append(f"at {now} owes {amount}: {bucket.owe(amount, now):g} s")
    lines.append("# Buckets of at most two owners")
    buckets = Buckets(1.0, 2.0, kept_max=2)
    for owner, now in (("a", 0.0), ("b", 0.0), ("c", 0.5), ("a", 0.5), ("d", 9.0)):
        allowed = [buckets.of(owner, now).allows(now) for _time in range(3)]
        lines.append(f"{owner} at {now}: {allowed}, {len(buckets)} kept")
    for host in ("192.0.2.7", "2001:db8::1:2:3:4", "fe80::1%eth0", "::ffff:192.0.2.7"):
        lines.append(f"network of {host}: {network_of(host)}")
    return lines


def _addresses() -> list[str]:
    lines = ["# Multiaddresses"]
    for host in ("192.0.2.7", "2001:db8::1", "node.test"):
        lines.append(format_multiaddr(host, 4_001, "12D3"))
    for text in (
        *("/ip4/192.0.2.7/tcp/1/p2p/12D3", " /ip6/2001:db8::1/tcp/65535 ", "/dns4/node.test/tcp/7"),
        *("/ip4/192.0.2.7/tcp/0", "/ip4/192.0.2.7/tcp/65536", "/ip4/192.0.2.7/tcp/x", "/ip6/192.0.2.7/tcp/1"),
        *("/ip4/nohost/tcp/1", "/udp/a/tcp/1", "/dns//tcp/1", "/ip4/192.0.2.7/udp/1", "/ip4/é/tcp/1"),
        *("x/ip4/192.0.2.7/tcp/1", "/ip4/192.0.2.7/tcp/1/p2q/x", "/ip4/192.0.2.7/tcp/1/p2p", ""),
    ):
        try:
            lines.append(f"{text!a}: {parse_multiaddr(text)}")
        except ValueError as error:
            lines.append(f"{text!a}: {error}")
    return lines


def test_splice_frames(golden: Compare) -> None:
    """Each kind of frame, encoded and decoded, and bytes that are not a frame."""
    lines = []
    key, signature = bytes(32), bytes(64)
    bodies: tuple[Any, ...] = (
        *(Hello(NONCE), Challenge(NONCE), Register(key, 7, signature), Registered("host", 65_535, signature)),
        *(Refused("full", "Too many."), Ping(), Pong(), Open(NONCE), Data(NONCE, signature), Declined(NONCE)),
    )
    for body in bodies:
        frame = encoded(body)
        assert decoded(frame[2:]) == body
        lines.append(f"{body}: {len(frame)} bytes {frame.hex()}"[:200])
    for junk in (
        b"",
        b"\0",
        b"\x0b",
        b"\x01",
        b"\x01\x91\xc4\x01x",
        b"\x06\x90\x90",
        encoded(Ping())[2:] + b"x",
    ):
        with pytest.raises(SpliceError) as refused:
            decoded(junk)
        lines.append(f"{junk.hex()}: {refused.value}")
    lines.append(registering(b"splice", NONCE, NONCE[::-1], key, 258).hex())
    lines.append(granting(NONCE, NONCE[::-1], key, "host", 258).hex())
    lines.append(connecting(b"splice", key, NONCE).hex())
    golden(GOLDEN / "splice-frames.txt", "\n".join(lines) + "\n")


def test_key_files(golden: Compare, tmp_path: Path) -> None:
    """What is read of key files, and which are refused."""
    lines = []
    path = tmp_path / "key"
    for content, mode in (
        *((encode_seed(NONCE), 0o600), (encode_seed(NONCE, "gateway#1"), 0o600), (encode_seed(NONCE), 0o400)),
        *((encode_seed(NONCE), 0o640), (encode_seed(NONCE), 0o604), (NONCE.hex()[:-2].encode(), 0o600)),
        *(
            (b"zz", 0o600),
            (b"\xff", 0o600),
            (b"", 0o600),
            (b"\n " + encode_seed(NONCE, " name ") + b"\n", 0o600),
        ),
    ):
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        lines.append(f"{content[-20:]!r} {mode:04o}: {_read(path, tmp_path)}")
    link = tmp_path / "link"
    link.symlink_to(path)
    for other in (link, tmp_path / "none", tmp_path):
        lines.append(f"{other.name if other != tmp_path else 'folder'}: {_read(other, tmp_path)}")
    made = tmp_path / "made"
    lines.append(
        f"made once: {ensure_seed(made) == ensure_seed(made)} mode {made.stat().st_mode & 0o777:04o}"
    )
    lines.append(public_key_of(NONCE).hex())
    golden(GOLDEN / "key-files.txt", "\n".join(lines) + "\n")


def _read(path: Path, folder: Path) -> str:
    try:
        seed, name = read_named_seed(path)
    except KeyFileError as error:
        return f"{type(error).__name__}: {str(error).replace(str(folder), 'FOLDER')}"
    return f"{seed.hex()[-8:]} {name!r}"


def test_log_lines(golden: Compare) -> None:
    """Which lines a limit lets through, and what they are as JSON."""
    lines: list[str] = []
    time = [0.0]
    limit, formatter = OneLineASecond(lambda: time[0]), JsonLines({"node": "n0", "level": "kept out"})
    error = (ValueError, ValueError("so"), None)

    def log(level: int, message: str, *given: object, name: str = "dtvn.x", **more: Any) -> None:
        record = logging.LogRecord(name, level, "file", 1, message, given, more.get("exc_info"))
        record.created = 1_700_000_000.1239
        if "fields" in more:
            record.fields = more["fields"]
        passed, again = limit.filter(record), limit.filter(record)
        told = json.dumps(msgspec.json.decode(formatter.format(record))) if passed else "left out"
        lines.append(f"{time[0]:g} s: {told}{'' if passed == again else ' and differs'}")

    for moment in (0.0, 0.5, 0.999, 1.0, 1.5, 3.0):
        time[0] = moment
        log(logging.INFO, "quiet %s", "a")
        log(logging.WARNING, "trouble %s", moment, fields={"shard": 7, "message": "kept out"})
        log(logging.ERROR, "trouble %s", moment)
        log(logging.WARNING, "%s", f"disk_full at {moment}")
        log(logging.WARNING, "%s", f"disk_slow at {moment}")
        log(logging.ERROR, "failed", exc_info=error)
        log(logging.ERROR, "failed", name="dtvn.y")
    for number in range(KINDS_MAX):
        limit.filter(logging.LogRecord("many", logging.ERROR, "file", 1, f"kind {number}", (), None))
    log(logging.WARNING, "trouble %s", "forgotten")
    golden(GOLDEN / "log-lines.txt", "\n".join(lines) + "\n")
