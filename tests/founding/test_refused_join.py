"""A join that is refused leaves nothing behind: no key, no folder, no changed file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dtvn.files import whole
from dtvn.protocol.genesis import ceremony as c
from tests.founding.parties import Party, Said

PORT = 41009


def seen(root: Path) -> dict[str, tuple[int, bytes]]:
    """All that lies below a folder: mode and content."""
    return {
        str(path.relative_to(root)): (path.stat().st_mode, b"" if path.is_dir() else path.read_bytes())
        for path in root.rglob("*")
    }


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    """Of a cluster of three, which two have joined."""
    path = tmp_path / "draft.genesis"
    assert Said("init", "--name", "Cup final", "--members", 3, "--out", path).code == 0
    for number, name in enumerate(("promoter", "venue")):
        place = ("--data-dir", tmp_path / name, "--host", "127.0.0.1", "--port", 41001 + number)
        assert Said("join", path, "--id", name, *place).code == 0
    return path


def full(draft: Path, party: Party) -> tuple[str, ...]:
    place = ("--data-dir", draft.parent / "third", "--host", "127.0.0.1", "--port", 41003)
    assert Said("join", draft, "--id", "third", *place).code == 0
    return ()


def name_taken(draft: Path, party: Party) -> tuple[str, ...]:
    return ("--id", "venue")


def address_taken(draft: Path, party: Party) -> tuple[str, ...]:
    return ("--port", "41001")


def a_principal_named_as_a_member(draft: Path, party: Party) -> tuple[str, ...]:
    """Found only when the last one joins."""
    return ("--id", "venue-gateway")


def no_name(draft: Path, party: Party) -> tuple[str, ...]:
    return ("--id", "../late")


def an_open_key(draft: Path, party: Party) -> tuple[str, ...]:
    party.folder.create()
    party.folder.learner_key.write_text("00" * 32)
    party.folder.learner_key.chmod(0o644)
    return ()


def out_is_there(draft: Path, party: Party) -> tuple[str, ...]:
    return ("--out", str(draft))


def out_is_below_a_file(draft: Path, party: Party) -> tuple[str, ...]:
    return ("--out", str(draft / "new" / "cup.genesis"))


def data_is_below_a_file(draft: Path, party: Party) -> tuple[str, ...]:
    return ("--data-dir", str(draft / "data"))


def a_file_where_a_folder_goes(draft: Path, party: Party) -> tuple[str, ...]:
    party.folder.create()
    (party.folder.nodes / party.name).write_bytes(b"")
    return ()


REFUSED: list[tuple[Callable[[Path, Party], tuple[str, ...]], str]] = [
    (full, "more than the 3 parties of the terms"),
    (name_taken, "'venue' has joined with another record"),
    (address_taken, "give one address, 127.0.0.1:41001"),
    (a_principal_named_as_a_member, "names a member and a principal"),
    (no_name, "is not a valid node name"),
    (an_open_key, "is open to others"),
    (out_is_there, "already exists"),
    (out_is_below_a_file, "cannot be written: "),
    (data_is_below_a_file, "cannot be used: "),
    (a_file_where_a_folder_goes, "cannot be used: "),
]


@pytest.mark.parametrize(("prepare", "why"), REFUSED, ids=[prepare.__name__ for prepare, _why in REFUSED])
def test_a_refused_join_leaves_nothing_behind(
    tmp_path: Path, draft: Path, prepare: Callable[[Path, Party], tuple[str, ...]], why: str
) -> None:
    party = Party(tmp_path / "new" / "deep", "late")
    more = prepare(draft, party)
    party.receives(draft)
    before = seen(tmp_path)
    said = party.joins(PORT, *more)
    assert (said.code, why in said.error) == (1, True), said.error
    assert seen(tmp_path) == before


def test_a_refused_join_keeps_the_keys_that_were_there(tmp_path: Path, draft: Path) -> None:
    """It joined before, and its gateway signs with its key since."""
    party = Party(tmp_path, "late")
    party.receives(draft)
    assert party.joins(PORT, "--no-platform").code == 0
    party.file.write_bytes(draft.read_bytes())
    before = seen(tmp_path)
    assert "already exists" in party.joins(PORT, "--out", str(draft)).error
    assert seen(tmp_path) == before
    assert party.joins(PORT).code == 0
    keys = {path.name for path in party.data.rglob("*.key")}
    assert keys == {"node.key", "gateway.key", "learner.key"}


def test_keys_whose_record_was_written_stay(
    tmp_path: Path, draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails right after: readers of the file have a record of these keys."""
    party = Party(tmp_path, "late")
    party.receives(draft)
    sync = whole.sync_folder

    def fails(folder: Path) -> None:
        if folder == party.file.parent:
            raise OSError(5, "Input/output error")
        sync(folder)

    monkeypatch.setattr(whole, "sync_folder", fails)
    assert "Input/output error" in party.joins(PORT).error
    assert "late" in {record.party.member.id for record in c.decode(party.file.read_bytes()).records}
    assert party.folder.node("late").key.is_file()
    assert party.folder.gateway_key.is_file()
