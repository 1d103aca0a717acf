"""What others read: the frames of a splice, byte by byte, and files of keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dtvn.net.keyfile import KeyFileError, encode_seed, ensure_seed, read_named_seed
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
from tests.golden import Compare

GOLDEN = Path(__file__).parent / "golden"
NONCE, KEY, SIGNATURE = bytes(range(32)), b"k" * 32, b"s" * 64


def test_frames_of_a_splice_are_these_bytes(golden: Compare) -> None:
    bodies: tuple[Any, ...] = (
        *(Hello(NONCE), Challenge(NONCE), Register(KEY, 7, SIGNATURE), Registered("host", 65_535, SIGNATURE)),
        *(Refused("full", "Too many."), Ping(), Pong(), Open(NONCE), Data(NONCE, SIGNATURE), Declined(NONCE)),
    )
    lines = []
    for body in bodies:
        frame = encoded(body)
        assert decoded(frame[2:]) == body
        lines.append(f"{type(body).__name__} {frame.hex()}")
    for junk in (b"", b"\x0b", b"\x01", b"\x01\x91\xc4\x01x", b"\x06\x90\x90"):
        with pytest.raises(SpliceError) as refused:
            decoded(junk)
        lines.append(f"{junk.hex() or 'nothing'}: {refused.value}")
    lines += [
        f"signed to register: {registering(b'splice', NONCE, NONCE[::-1], KEY, 258).hex()}",
        f"signed to grant: {granting(NONCE, NONCE[::-1], KEY, 'host', 258).hex()}",
        f"signed to connect: {connecting(b'splice', KEY, NONCE).hex()}",
    ]
    golden(GOLDEN / "splice-frames.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize(("name", "mode"), [("", 0o600), ("gateway#1", 0o400)])
def test_a_key_file_has_the_seed_and_the_name_on_the_wire(tmp_path: Path, name: str, mode: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(encode_seed(NONCE, name))
    path.chmod(mode)
    assert read_named_seed(path) == (NONCE, name)


def test_a_key_file_that_is_a_link_a_folder_or_absent_is_named(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "made")
    assert ensure_seed(tmp_path / "made") == ensure_seed(tmp_path / "made")
    for path in (link, tmp_path, tmp_path / "none"):
        with pytest.raises(KeyFileError, match=f"The key file {path} cannot be read"):
            read_named_seed(path)
