"""Which key a gateway takes, and when: the file that may change while it runs (R15)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dtvn.files.whole import write_private
from dtvn.gateway import next_path, read_identity
from dtvn.gateway.identity import LOOK_EVERY, TRY_FOR, KeyWatch
from dtvn.net import KeyFileError, encode_seed, read_seed

SECOND = 1_000_000_000


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.key"
    write_private(path, b"11" * 32 + b"\n")
    return path


def test_a_key_file_holds_a_seed_and_perhaps_a_name(key: Path, tmp_path: Path) -> None:
    assert read_identity(key).wire == ""
    named = tmp_path / "named.key"
    write_private(named, encode_seed(b"\x22" * 32, "gateway#1"))
    assert (read_identity(named).seed, read_identity(named).wire) == (b"\x22" * 32, "gateway#1")
    assert read_seed(named) == b"\x22" * 32
    write_private(named, b"22" * 31 + b"\ngateway#1\n", replace=True)
    with pytest.raises(KeyFileError, match="64 hex digits"):
        read_identity(named)


def test_a_replaced_key_file_is_read_once(key: Path) -> None:
    watch = KeyWatch(key, read_identity(key))
    assert watch.look(1 * SECOND, True) is None
    write_private(key, encode_seed(b"\x22" * 32, "gateway#1"), replace=True)
    assert watch.look(1 * SECOND + 1, True) is None, "it looks twice a second"
    taken = watch.look(2 * SECOND, True)
    assert taken is not None
    assert taken.wire == "gateway#1"
    assert watch.look(3 * SECOND, True) is None


def test_an_unreadable_key_file_changes_nothing(key: Path) -> None:
    watch = KeyWatch(key, read_identity(key))
    write_private(key, b"nothing", replace=True)
    assert watch.look(1 * SECOND, True) is None
    key.unlink()
    assert watch.look(2 * SECOND, True) is None
    assert watch.used.seed == b"\x11" * 32


def test_a_refused_gateway_tries_the_next_key_and_installs_it(key: Path) -> None:
    watch = KeyWatch(key, read_identity(key))
    write_private(next_path(key), encode_seed(b"\x22" * 32, "gateway#1"))
    assert watch.look(1 * SECOND, True) is None
    assert watch.look(3 * SECOND, False) is None, "a view change takes as long"
    upcoming = watch.look(5 * SECOND, False)
    assert upcoming is not None
    assert upcoming.wire == "gateway#1"
    # Not let in with that one either: the other again, and so on.
    assert watch.look(6 * SECOND, False) is None
    back = watch.look(9 * SECOND, False)
    assert back is not None
    assert back.seed == b"\x11" * 32
    assert watch.look(13 * SECOND, False) == upcoming
    assert watch.look(14 * SECOND, True) is None
    assert read_identity(key) == upcoming
    assert not next_path(key).exists()
    assert oct(os.stat(key).st_mode & 0o777) == "0o600"
    assert watch.look(15 * SECOND, True) is None


def test_a_gateway_that_was_never_let_in_tries_the_next_key_too(key: Path) -> None:
    """It was started after the process that rotated the key had died."""
    watch = KeyWatch(key, read_identity(key))
    write_private(next_path(key), encode_seed(b"\x22" * 32, "gateway#1"))
    assert watch.look(10 * SECOND, False) is None
    assert watch.look(10 * SECOND + TRY_FOR, False) is None
    assert watch.look(10 * SECOND + TRY_FOR + LOOK_EVERY - 1, False) is None, "it looks twice a second"
    upcoming = watch.look(10 * SECOND + TRY_FOR + LOOK_EVERY, False)
    assert upcoming == read_identity(next_path(key)) == watch.used
    assert watch.look(10 * SECOND + 2 * TRY_FOR + LOOK_EVERY, False) is None, (
        "the second key has its time too"
    )
    assert next_path(key).exists()
