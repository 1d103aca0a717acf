"""`manage.py validator`: flags as Go reads them, and what is settled before a node runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import load_command_class

from dtvn.net import public_key_of
from dtvn.node.flags import GoFlags
from dtvn.node.keys import dev_seed, peer_id
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.options import NodeOptions, StartError, UsageError
from dtvn.node.own_folder import prepare
from dtvn.node.provision import create_demo_cluster
from dtvn.node.settings import settings_of
from dtvn.protocol import genesis as g
from tests.support.table import table
from tests.waiting import PATIENCE
from validators.management.commands import supervisor
from validators.management.commands.supervisor import environment_of

ROOT = Path(__file__).parents[2]


def parser() -> GoFlags:
    flags = GoFlags(prog="program", description="what it does")
    flags.flag("id", default="node0", help="name")
    flags.flag("port", kind=int, help="number")
    flags.switch("dev-keys", help="on or off")
    return flags


@table(
    ("arguments", "expected"),
    [
        ([], ("node0", None, False)),
        (["-id", "a", "-port=7", "-dev-keys"], ("a", 7, True)),
        (["--id=a", "--port", "7", "--dev-keys=true"], ("a", 7, True)),
        (["-dev-keys=false", "-id", "b"], ("b", None, False)),
        (["-dev-keys", "-id", "b"], ("b", None, True)),
        (["-dev-keys=T"], ("node0", None, True)),
        (["-id", "dev-keys"], ("dev-keys", None, False)),
        (["-id", "-dev-keys", "-port", "7"], ("-dev-keys", 7, False)),
        (["--id", "--unknown=x", "-dev-keys"], ("--unknown=x", None, True)),
        (["-id", "", "-port", "-7"], ("", -7, False)),
    ],
    count=10,
)
def test_flags_take_one_or_two_dashes_and_both_forms(arguments: list[str], expected: tuple[Any, ...]) -> None:
    options = parser().parse(arguments)
    assert (options.id, options.port, options.dev_keys) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["-nonsense"],
        ["dev-keys"],
        ["-id"],
        ["-dev-keys", "true"],
        ["-port", "many"],
        ["-dev-keys=maybe"],
        ["-i", "x"],
        ["x"],
    ],
)
def test_a_mistake_ends_with_2_and_usage_on_stderr(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse(arguments)
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: program" in captured.err
    assert captured.err.index("\n") < captured.err.index("usage:")


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("validator", ["-port", "abc"], "-port: 'abc' is not a whole number"),
        ("validator", ["-data-dir", ""], "-data-dir: '' is empty"),
        ("supervisor", ["-web-port", "0"], "-web-port 0 is not between 1 and 65535"),
        ("supervisor", ["-web-addr", "no.such host"], "-web-addr no.such host is not an address"),
        ("supervisor", ["-auto-start=31"], "-auto-start 31 is not between 0 and 30"),
    ],
)
def test_c30_a_bad_value_is_refused_with_the_usage(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(os, "execve", lambda *words: pytest.fail("it became the network"))
    with pytest.raises(SystemExit) as ended:
        load_command_class("validators", command).run_from_argv(["manage.py", command, *arguments])
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (2, "")
    assert captured.err.startswith(message)
    assert f"usage: manage.py {command}" in captured.err


def test_an_empty_address_means_every_interface_as_in_go() -> None:
    environment = environment_of(supervisor.flags().parse(["-web-addr=", "-api-key", "-secret"]), {})
    assert (environment["DTVN_HOST"], environment["DTVN_API_KEY"]) == (supervisor.EVERYWHERE, "-secret")


def test_a_supervisor_takes_its_data_folder_from_flag_then_variable() -> None:
    def folder(*words: str, **environ: str) -> str:
        return environment_of(supervisor.flags().parse(words), environ)["DTVN_DATA"]

    assert folder("-data-dir", "/flag", DTVN_DATA="/variable") == "/flag"
    assert folder(DTVN_DATA="/variable") == "/variable"
    assert folder() == str(Path("data").absolute())


@pytest.mark.parametrize("flag", ["-h", "-help", "--help"])
def test_help_ends_with_0_on_stdout(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse([flag])
    assert ended.value.code == 0
    assert "what it does" in capsys.readouterr().out


class Told:
    """Calls `prepare` with these flags, and keeps what it warned of."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.told: list[str] = []
        self.warnings: list[str] = []

    def prepare(self, *, key_seed: str = "", **flags: Any) -> tuple[NodeFolder, NodeOptions]:
        settings = settings_of({"data_dir": str(self.data_dir), **flags}, {})
        return prepare(settings, key_seed, self.told.append, self.warnings.append)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path / "data")


def test_development_keys_come_with_a_warning_and_stay_on_loopback(told: Told) -> None:
    folder, options = told.prepare(dev_keys=True, id="node2")
    assert "anyone can derive every key" in told.warnings[0]
    assert options.bind == ("127.0.0.1", 4003)
    genesis = g.decode(folder.genesis.read_bytes())
    assert genesis.members[2].public_key == public_key_of(dev_seed("node2"))
    again, _ = told.prepare(dev_keys=True, id="node2")
    assert again.root == folder.root
    assert folder.root.parents[1].stat().st_mode & 0o027 == 0, "the data folder: 0750 at most"


def test_development_keys_have_a_salt(
    told: Told,
) -> None:
    folder, _ = told.prepare(dev_keys=True, key_seed="secret")
    genesis = g.decode(folder.genesis.read_bytes())
    assert peer_id(genesis.members[0].public_key) == "12D3KooWJYd11GLqmTjdw9wE96ocpZkd3WASz5PxivHLCxNMrc2h"
    with pytest.raises(StartError, match="another key"):
        told.prepare(dev_keys=True)


def test_without_genesis_or_development_keys_the_error_names_both_flags(told: Told) -> None:
    with pytest.raises(UsageError, match=r"-genesis FILE, or -dev-keys"):
        told.prepare()


def test_a_provisioned_node_needs_only_its_name(told: Told) -> None:
    create_demo_cluster(told.data_dir, nodes=2, host="127.0.0.1", ports=[41001, 41002])
    folder, options = told.prepare(id="node1")
    assert options.bind == ("127.0.0.1", 41002)
    assert folder.id == "node1"
    name = peer_id(g.decode(folder.genesis.read_bytes()).members[1].public_key)
    assert told.told == [f"node1 listens at /ip4/127.0.0.1/tcp/41002/p2p/{name}"]
    assert told.warnings == []


def test_a_genesis_file_is_kept_and_another_one_is_refused(told: Told, tmp_path: Path) -> None:
    create_demo_cluster(told.data_dir, nodes=2, host="127.0.0.1", ports=[41001, 41002])
    create_demo_cluster(tmp_path / "other", nodes=2, host="127.0.0.1", ports=[41001, 41002])
    told.prepare(id="node1", genesis=str(told.data_dir / "cluster/genesis.bin"))
    with pytest.raises(StartError, match="another cluster"):
        told.prepare(id="node1", genesis=str(tmp_path / "other/cluster/genesis.bin"))
    with pytest.raises(StartError, match="cannot be read"):
        told.prepare(id="node1", genesis=str(tmp_path / "absent"))
    with pytest.raises(
        StartError, match=r"^The genesis /dev/zero is not usable: it is too large, over \d+ bytes\.$"
    ):
        told.prepare(id="node1", genesis="/dev/zero")


def test_a_genesis_may_come_through_a_pipe(told: Told) -> None:
    create_demo_cluster(told.data_dir, nodes=2, host="127.0.0.1", ports=[41001, 41002])
    node = ClusterFolder(told.data_dir).node("node1")
    content = node.genesis.read_bytes()
    node.genesis.unlink()
    reading, writing = os.pipe()
    try:
        os.write(writing, content)
        os.close(writing)
        told.prepare(id="node1", genesis=f"/dev/fd/{reading}")
    finally:
        os.close(reading)
    assert node.genesis.read_bytes() == content


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../x"},
        {"port": 0, "dev_keys": True},
        {"total_nodes": 0, "dev_keys": True},
        {"total_nodes": 32, "dev_keys": True},
        {"id": "alice", "dev_keys": True},
        {"dev_keys": True, "genesis": "x"},
    ],
)
def test_a_wrong_flag_is_reported_in_one_line(told: Told, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        told.prepare(**changes)
    assert str(caught.value).startswith("-")
    assert "\n" not in str(caught.value)


def test_bootstrap_addresses_are_matched_by_key_and_others_are_warned_of(told: Told) -> None:
    peers = [peer_id(public_key_of(dev_seed(f"node{index}"))) for index in range(3)]
    items = [
        f"/ip4/10.0.0.2/tcp/7002/p2p/{peers[2]}",
        f" /ip4/10.0.0.1/tcp/7001/p2p/{peers[1]} ",
        "",
        f"/ip4/10.0.0.9/tcp/7000/p2p/{peers[0]}",
        "/ip4/10.0.0.3/tcp/7003",
        "/ip4/10.0.0.4/tcp/7004/p2p/12D3KooWJYd11GLqmTjdw9wE96ocpZkd3WASz5PxivHLCxNMrc2h",
        "nonsense",
        f"/dns/nöde/tcp/7004/p2p/{peers[2]}",
    ]
    _, options = told.prepare(dev_keys=True, bootstrap=",".join(items))
    assert options.addresses == {1: ("10.0.0.1", 7001), 2: ("10.0.0.2", 7002)}
    assert list(options.books.values()) == [("10.0.0.4", 7004)], "no member, but may keep addresses"
    assert sum("ignored" in warning for warning in told.warnings) == 3
    assert sum("only asked for addresses" in warning for warning in told.warnings) == 1


def test_who_is_no_member_keeps_addresses_only_if_it_is_told_to(told: Told) -> None:
    with pytest.raises(UsageError, match="the members are node0 to node3"):
        told.prepare(dev_keys=True, id="book")
    folder, options = told.prepare(dev_keys=True, id="book", bootstrap_node=True)
    assert options.is_book
    assert "keeps addresses only" in told.told[-1]
    (folder.ledger / "ledger.sqlite3").touch()
    assert not told.prepare(dev_keys=True, id="book", bootstrap_node=True)[1].is_book, "it follows the log"


def test_a_member_with_the_flag_is_a_member(told: Told) -> None:
    assert not told.prepare(dev_keys=True, bootstrap_node=True)[1].is_book


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    """As on a read-only file system, which takes rights to make: a file stands where the log's folder was."""
    create_demo_cluster(tmp_path, nodes=1, host="127.0.0.1", ports=[7_000])
    log = ClusterFolder(tmp_path).node("node0").log
    log.rmdir()
    log.touch()
    command = [sys.executable, "manage.py", "validator", "-id", "node0", "-data-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (1, f"{log} cannot be written: File exists.\n")
