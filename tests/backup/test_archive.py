"""The archive of a backup: verified as a whole before anything is written, and hostile ones refused."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import msgspec
import pytest

from validators.backup.archive import MANIFEST, Writer, extract, read, verify
from validators.backup.forms import FORMAT, BackupError, Entry, LedgerCopy, Manifest

FILES = {
    "secret.key": b"s" * 40,
    "nodes/node0/identity/node.key": b"k" * 64,
    "platform/p.sqlite3": b"p" * 5_000,
}


def manifest(entries: list[Entry], **changes: object) -> Manifest:
    plain = Manifest(
        format=FORMAT,
        made_at="2026-01-01T00:00:00+00:00",
        program="test",
        cluster="00" * 32,
        name="demo",
        members=("node0",),
        demo=True,
        keys=True,
        covered=0,
        database="",
        migrations={},
        ledgers=(),
        files=tuple(entries),
    )
    return msgspec.structs.replace(plain, **changes)


def made(path: Path, files: dict[str, bytes] = FILES) -> Manifest:
    """A good archive."""
    with path.open("wb") as out:
        writer = Writer(out)
        for name, content in files.items():
            writer.add_bytes(name, content)
        found = manifest(list(writer.entries))
        writer.close(found)
    return found


def forged(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], claimed: Manifest) -> None:
    """An archive whose manifest claims what it wants."""
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        last = tarfile.TarInfo(MANIFEST)
        content = msgspec.json.encode(claimed)
        last.size = len(content)
        tar.addfile(last, io.BytesIO(content))


def test_each_damaged_byte_of_a_small_archive_is_found(tmp_path: Path) -> None:
    """Or it changes nothing that is restored (a field of a header that no file has)."""
    whole = made(path := tmp_path / "a.tar.gz", {"secret.key": b"abc"})
    good = gzip.decompress(path.read_bytes())
    for at in range(0, 1_200, 5):
        bad = bytearray(good)
        bad[at] ^= 0x20
        path.write_bytes(gzip.compress(bytes(bad), compresslevel=1))
        try:
            found = verify(path)
        except BackupError:
            continue
        assert found.files == whole.files, at
        assert read(path, "secret.key") == b"abc", at


@pytest.mark.parametrize("left", [0, 1, 20, 200, -200])
def test_a_truncated_archive_is_refused(tmp_path: Path, left: int) -> None:
    made(path := tmp_path / "a.tar.gz")
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(BackupError, match=r"damaged|no backup"):
        verify(path)


@pytest.mark.parametrize(
    "name",
    [
        "../up",
        "/etc/passwd",
        "nodes/../../up",
        "nodes/./x",
        "a//b",
        ".hidden",
        "nodes/.ssh/x",
        "a\\b",
        "",
        "é",
        "x\n",
    ],
)
def test_a_name_outside_the_data_folder_is_refused(tmp_path: Path, name: str) -> None:
    entry = Entry(name, 1, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb")
    forged(path := tmp_path / "a.tar.gz", [(tarfile.TarInfo(name), b"a")], manifest([entry]))
    with pytest.raises(BackupError, match=r"refused|damaged"):
        verify(path)
    with pytest.raises(BackupError):
        extract(path, manifest([entry]), lambda _name: True, tmp_path / "out")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.tar.gz", "out"]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_devices_and_folders_are_refused(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("secret.key")
    member.type, member.linkname = kind, "/etc/passwd"
    forged(path := tmp_path / "a.tar.gz", [(member, b"")], manifest([]))
    with pytest.raises(BackupError, match="not a plain file"):
        verify(path)


def test_files_that_the_manifest_does_not_name_are_refused(tmp_path: Path) -> None:
    forged(path := tmp_path / "a.tar.gz", [(tarfile.TarInfo("extra"), b"a")], manifest([]))
    with pytest.raises(BackupError, match="extra is not in its manifest"):
        verify(path)


def test_a_file_twice_is_refused(tmp_path: Path) -> None:
    twice = [(tarfile.TarInfo("secret.key"), b"a"), (tarfile.TarInfo("secret.key"), b"b")]
    forged(path := tmp_path / "a.tar.gz", twice, manifest([]))
    with pytest.raises(BackupError, match="twice"):
        verify(path)


def test_an_archive_of_a_later_form_names_the_form(tmp_path: Path) -> None:
    forged(path := tmp_path / "a.tar.gz", [], manifest([], format="dtvn-backup/3"))
    with pytest.raises(BackupError, match=r"dtvn-backup/3"):
        verify(path)


def test_an_archive_replaced_after_its_check_is_noticed(tmp_path: Path) -> None:
    before = made(path := tmp_path / "a.tar.gz")
    made(path, FILES | {"secret.key": b"t" * 40})
    with pytest.raises(BackupError, match="replaced while it was read"):
        extract(path, before, lambda _name: True, tmp_path / "out")


def test_a_file_behind_the_manifest_is_refused(tmp_path: Path) -> None:
    """A file that nobody checked must not be restored."""
    with tarfile.open(path := tmp_path / "a.tar.gz", "w:gz") as tar:
        for name, content in ((MANIFEST, msgspec.json.encode(manifest([]))), ("late", b"a")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with pytest.raises(BackupError, match="is damaged: 'late' follows its manifest"):
        verify(path)


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ({"secret.key": b"s" * 40}, r"nodes/node0/identity/node.key is missing\.$"),
        (FILES | {"secret.key": b"S" * 40}, r"secret.key differs\.$"),
    ],
)
def test_an_archive_that_was_replaced_since_it_was_verified_is_refused(
    tmp_path: Path, later: dict[str, bytes], said: str
) -> None:
    made(path := tmp_path / "a.tar.gz")
    verified = verify(path)
    made(path, later)
    with pytest.raises(BackupError, match=f"was replaced while it was read: {said}"):
        extract(path, verified, lambda _name: True, tmp_path / "out")


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"a.tar.gz cannot be read: No such file or directory\.$"):
        verify(tmp_path / "a.tar.gz")


def test_a_manifest_tells_its_ledgers_and_what_can_be_continued() -> None:
    def copy(name: str, executed: int, certified: int) -> LedgerCopy:
        place = f"nodes/{name}/ledger/ledger.sqlite3"
        return LedgerCopy(name, "sqlite", place, 1, executed, certified)

    a, b, c = copy("a", 95, 0), copy("b", 90, 20), copy("c", 99, 10)
    whole = manifest([], ledgers=(a, b, c))
    assert (whole.certified, whole.ledger("c"), whole.ledger("d")) == (b, c, None)
    assert manifest([], ledgers=(a,)).certified is None, "it has no state that could be continued"
