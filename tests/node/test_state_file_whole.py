"""A state file is written whole or not at all (R11)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dtvn.node import state_file
from dtvn.node.state_file import StateFileError, write_state


def test_a_write_that_fails_on_the_way_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_file, "canonical", SimpleNamespace(encode=bytes))
    head: Any = b"head"

    def pieces() -> Iterator[Any]:
        yield b"first"
        raise OSError(28, "No space left on device")

    out = tmp_path / "new" / "state.bin"
    with pytest.raises(StateFileError, match="cannot be written: No space left on device"):
        write_state(out, head, pieces())
    assert list(out.parent.iterdir()) == []
    write_state(out, head, [head])
    with pytest.raises(StateFileError, match="already exists: choose another file"):
        write_state(out, head, [head])
