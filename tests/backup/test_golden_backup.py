"""Tells what backup and restore print in each situation, what an archive holds, with the marks that take a
vote, and what the checks of the platform's copy of the log say."""

from __future__ import annotations

import re
import shutil
import sqlite3
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dtvn.files.whole import write_private
from dtvn.node.layout import ClusterFolder
from dtvn.node.moved import keep_address
from dtvn.protocol import genesis as g
from tests.api.telling import Story, beside
from tests.backup.sources import source_with_keys
from tests.golden import Compare
from tests.proof.continuing import keep, old_log
from validators.backup.sources import Source
from validators.ledger import open_ledger

SECRETS = (
    *("identity/node.key", "identity/api.key", "identity/api.token", "identity/next.key"),
    *("identity/recovery.key", "identity/alive.bin"),
)


@pytest.fixture(autouse=True)
def _ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def old(tmp_path: Path) -> Source:
    return source_with_keys(tmp_path / "old", SECRETS)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    told = Story(exact=True)
    told.hidden[str(tmp_path)] = "DIR"
    told.masked[re.compile(r"made \S+ by dtvn \S+, Python [0-9.]+")] = "made then by this release"
    return told


def tell_votes(story: Story, ledger: Path, cluster: bytes) -> None:
    opened = open_ledger(ledger, cluster_id=cluster, alias="told", expect_existing=True)
    tail = opened.load()
    story.say(f"  votes: {opened.voting} {opened.voting_reason!r}, entries {len(tail.entries)}")
    story.say(f"  applied {tail.applied_sequence}, checkpoint {tail.checkpoint and tail.checkpoint.sequence}")
    opened.close()


def members_of(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return [f"{member.mode:o} {member.name}" for member in tar]


def tell_archive(story: Story, path: Path) -> None:
    story.say(f"archive {path.name}, mode {stat.S_IMODE(path.stat().st_mode):o}")
    story.say("\n".join(f"  {name}" for name in members_of(path)))


def test_what_a_backup_and_its_restore_tell(
    golden: Compare, old: Source, tmp_path: Path, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole, bare, new = tmp_path / "whole.tar.gz", tmp_path / "bare.tar.gz", tmp_path / "new"
    story.command("backup", "--data-dir", old.root, "--out", whole, "--keys")
    tell_archive(story, whole)
    story.command("backup", "--data-dir", old.root, "--out", whole, "--keys")
    story.command("backup", "--data-dir", old.root, "--out", bare, "--no-ledgers")
    tell_archive(story, bare)
    story.command("backup", "--data-dir", tmp_path / "absent", "--out", tmp_path / "c.tar.gz")
    story.command("backup", "--data-dir", old.root, "--out", tmp_path / "absent" / "c.tar.gz")
    story.heading("Checked")
    story.command("restore", whole, "--check", "--data-dir", new)
    story.command("restore", bare, "--check", "--data-dir", new)
    story.command("restore", tmp_path / "absent.tar.gz", "--check")
    story.command("restore", old.root / "secret.key", "--check")
    damaged = tmp_path / "damaged.tar.gz"
    damaged.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    story.command("restore", damaged, "--data-dir", new)
    assert not new.exists()
    story.heading("Restored whole, and again")
    story.command("restore", whole, "--data-dir", new)
    tell_votes(story, new / "nodes/r0/ledger", g.cluster_id(old.genesis()))
    story.command("restore", whole, "--data-dir", new)
    story.command("restore", whole, "--data-dir", new, "--node", "r0")
    story.command("restore", whole, "--data-dir", new, "--platform")
    story.command("restore", whole, "--data-dir", new, "--node", "r9")
    story.command("restore", whole, "--data-dir", tmp_path / "x", "--ledger-url", "r0=absent")
    story.command("restore", whole, "--data-dir", tmp_path / "x", "--ledger-url", "r0")
    story.heading("In part")
    for name, words in (("node", ("--node", "r0")), ("platform", ("--platform",))):
        story.command("restore", whole, "--data-dir", tmp_path / name, *words)
    story.command("restore", bare, "--data-dir", tmp_path / "bare")
    golden(beside(__file__, "backup"), str(story))


def test_what_backups_of_odd_folders_tell(golden: Compare, old: Source, tmp_path: Path, story: Story) -> None:
    keep_address(old.places.node("r0"), "127.0.0.1", 9, "12D3KooW")
    (old.root / "platform" / "platform.sqlite3").unlink()
    (old.root / "keys" / "gateway.key").unlink()
    one = tmp_path / "one.tar.gz"
    story.command("backup", "--data-dir", old.root, "--out", one, "--keys")
    story.command("restore", one, "--check")
    shutil.rmtree(old.root / "nodes/r0/ledger")
    two = tmp_path / "two.tar.gz"
    story.command("backup", "--data-dir", old.root, "--out", two)
    tell_archive(story, two)
    story.command("restore", two, "--data-dir", tmp_path / "new")
    (old.root / "cluster" / "genesis.bin").unlink()
    (old.root / "nodes/r0/genesis.bin").unlink(missing_ok=True)
    story.command("backup", "--data-dir", old.root, "--out", tmp_path / "three.tar.gz")
    golden(beside(__file__, "backup_of_odd_folders"), str(story))


def test_what_checks_of_the_copy_tell(golden: Compare, tmp_path: Path, story: Story) -> None:
    log = old_log(12)
    keep(log, tmp_path / "data", stable=10)
    folder = ClusterFolder(tmp_path / "data")
    story.command("verify_learner", "--data-dir", folder.root)
    write_private(folder.genesis, g.encode(log.genesis))
    story.command("verify_learner", "--data-dir", folder.root)
    shutil.copytree(folder.node("r0").ledger, folder.learner)
    story.command("verify_learner", "--data-dir", folder.root)
    for number, sql in enumerate(
        (
            "DELETE FROM ledger_ticket WHERE ticket_id = 'TICKET-1'",
            "UPDATE ledger_consensusentry SET timestamp = timestamp + 1 WHERE sequence = 5",
            "DELETE FROM ledger_consensusentry WHERE sequence = 5",
            "UPDATE ledger_checkpoint SET state_root = zeroblob(32)",
            "DELETE FROM ledger_batchbody WHERE sequence = 7",
            "UPDATE ledger_counter SET value = value + 1",
            "UPDATE ledger_operationrecord SET code = 'ok', actor = 'me' WHERE sequence = 3",
        )
    ):
        broken = tmp_path / f"broken{number}"
        shutil.copytree(folder.root, broken)
        with sqlite3.connect(ClusterFolder(broken).learner / "ledger.sqlite3") as ledger:
            changed = ledger.execute(sql).rowcount
        story.say(f"{sql}: {changed} rows")
        story.command("verify_learner", "--data-dir", broken)
    story.command("rebuild_learner", "--data-dir", folder.root)
    story.command("rebuild_learner", "--data-dir", folder.root)
    golden(beside(__file__, "copy_of_the_log"), str(story))
