"""`manage.py members` and `manage.py principals` over the same services as REST and the admin."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from dtvn.files.whole import write_private
from dtvn.net import encode_seed, ensure_seed, public_key_of, read_seed
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from dtvn.node.moved import moved_to
from dtvn.node.non_member import liveness_proof
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.versions import NEWEST
from tests.api.living import LivingGateway
from tests.host.support import key_pair, make_genesis
from validators.management import members
from validators.membership import changes
from validators.services import network

pytestmark = [pytest.mark.django_db(databases=["default", "learner"]), pytest.mark.ci]

Say = Callable[..., str]


@pytest.fixture
def say(living: LivingGateway, settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command on the platform's own folder and return its output."""
    settings.DATA = tmp_path
    folder = ClusterFolder(tmp_path)
    folder.create()
    write_private(folder.genesis, g.encode(make_genesis(4)))

    def run(command: str, verb: str, *words: str) -> str:
        where = ("--data-dir", str(tmp_path)) if command == "members" else ()
        call_command(command, verb, *where, *words)
        return capsys.readouterr().out

    return run


def test_r11_the_command_refuses_a_change_that_would_stop_all_decisions(
    say: Say, living: LivingGateway
) -> None:
    living.down = frozenset({3})
    with pytest.raises(CommandError, match="r3 did not answer"):
        say("members", "remove", "r1", "--allow-small", "--yes")
    assert living.present.epoch == 0


def test_r11_a_member_lost_during_the_confirmation_is_noticed(
    say: Say, living: LivingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def agreed() -> bool:
        living.down = frozenset({3})
        return True

    monkeypatch.setattr(members, "_agreed", agreed)
    with pytest.raises(CommandError, match="r3 did not answer"):
        say("members", "remove", "r1", "--allow-small")
    assert living.present.epoch == 0


def test_principals_are_added_limited_rekeyed_and_revoked(say: Say) -> None:
    first, second = (peer_id(key_pair(name)[0]) for name in ("gate-1", "gate-1 later"))
    assert "gate-1  signs as gate-1" in say("principals", "add", "gate-1", first, "--grant", "default:gate")
    assert "*:gate" in say("principals", "limit", "gate-1", "--grant", "*:gate")
    assert "signs as gate-1#1" in say("principals", "rotate", "gate-1", second, "--overlap", "5")
    listed = say("principals", "list")
    assert f"gate-1  signs as gate-1#1  {second}  *:gate" in listed
    assert "gateway  signs as gateway" in listed
    assert "signs as none" in say("principals", "revoke", "gate-1")
    given = peer_id(key_pair("gateway later")[0])
    assert "gateway  signs as gateway#1" in say("principals", "rotate", "gateway", given)
    assert f"gateway  signs as gateway#1  {given}" in say("principals", "list")
    assert "gate-1" not in say("principals", "list")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("revoke", "nobody"), "no principal"),
        (("revoke", "gateway"), "this platform signs as gateway"),
        (("limit", "gateway"), "No other principal could administer"),
        (("add", "x", "y"), "peer_id"),
        (("add", "x", peer_id(sha256(b"0").digest())), "not an Ed25519 key"),
        (("add", "x", peer_id(key_pair("x")[0]), "--grant", "*:fly"), "grants: 'fly'"),
        (("rotate", "nobody"), "peer_id is required"),
        (("rotate", "gateway", "--overlap", "inf"), "--overlap must be from 0 to 600 seconds"),
        (("rotate", "gateway", "--overlap", "nan"), "--overlap must be from 0 to 600 seconds"),
        (("rotate", "gateway", "--overlap=-1"), "--overlap must be from 0 to 600 seconds"),
    ],
)
def test_an_invalid_principals_command_gets_one_sentence(say: Say, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        say("principals", *words)


def test_members_change_with_keys_that_the_platform_makes(
    say: Say, living: LivingGateway, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = ClusterFolder(settings.DATA).node("r4")
    wait = changes.wait

    def follow(row: Any, seconds: float) -> Any:
        if node.key.exists():
            cluster = g.cluster_id(living.genesis)
            word = liveness_proof(
                cluster, living.present.epoch, "r4", living.acknowledged, read_seed(node.key), newest=NEWEST
            )
            write_private(node.liveness_proof, canonical.encode_trimmed(word), replace=True)
        return wait(row, seconds)

    monkeypatch.setattr(changes, "wait", follow)
    told = say("members", "add", "r4", "--yes")
    assert "now    4 members: 3 decide" in told
    assert "after  5 members: 4 decide" in told
    assert "seat 4  - > r4  joins" in told
    assert "Epoch 1 has begun" in told
    told = say("members", "parameters", "view_timeout=900000", "--yes")
    assert "view_timeout  800000 > 900000" in told
    assert "epoch 2 has begun" in told
    shown = say("members", "show")
    assert "epoch 2" in shown
    assert "view_timeout = 900000" in shown
    assert f"r4  127.0.0.1:{living.present.members[4].port}" in shown


@pytest.mark.parametrize(
    ("typed", "said", "code"),
    [
        ("", "nothing changed", 1),
        (EOFError(), "no terminal to ask on, nothing changed: confirm with --yes", 1),
        (KeyboardInterrupt(), "nothing changed", 130),
    ],
)
def test_a_question_without_a_yes_changes_nothing(
    say: Say,
    living: LivingGateway,
    typed: str | BaseException,
    said: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(_question: str) -> str:
        if isinstance(typed, BaseException):
            raise typed
        return typed

    monkeypatch.setattr("builtins.input", answer)
    with pytest.raises(CommandError) as told:
        say("members", "parameters", "view_timeout=900000")
    assert (str(told.value), told.value.returncode, living.present.epoch) == (said, code, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("remove", "r1", "--yes"), "Fewer than four"),
        (("remove", "r9", "--yes"), "no member with this name"),
        (("add", "../r4", "--yes"), "node_id"),
        (("rotate", "r2", "--yes"), "peer_id is required"),
        (("parameters", "view_timeout=fast", "--yes"), "NAME=NUMBER"),
        (("parameters", "speed=1", "--yes"), "parameters: 'speed'"),
    ],
)
def test_an_invalid_members_command_gets_one_sentence(say: Say, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        say("members", *words)


def test_a_folder_without_a_platform_makes_no_keys(say: Say, settings: Any, tmp_path: Path) -> None:
    settings.DATA = tmp_path / "another"
    with pytest.raises(CommandError, match="PEER-ID is required"):
        call_command("members", "add", "r4", "--data-dir", str(tmp_path), "--yes")


def test_members_uses_the_platform_s_folder_by_default(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("members", "show")
    call_command("members", "changes")
    assert "r3  127.0.0.1:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "--data-dir", "{none}"), "^No cluster has been made in {none} yet; use --data-dir"),
        (("prepare", "--id", "n5", "--genesis", "{none}"), "^{none}: No such file or directory.$"),
        (
            ("prepare", "--id", "n5", "--genesis", "/dev/zero"),
            r"^The genesis /dev/zero is not usable: it is too large, over \d+",
        ),
        (("add", "r4", "--liveness-proof", "{none}"), "^{none}: No such file or directory.$"),
        (("add", "r4", "--word", "{none}"), "^{none}: No such file or directory.$"),
        (("show", "--write", "{none}/x"), "^{none}/x: No such file or directory.$"),
    ],
)
def test_an_unreadable_file_gets_one_sentence(
    say: Say, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    none = str(tmp_path / "none")
    with pytest.raises(CommandError, match=said.replace("{none}", none)):
        call_command("members", *(word.replace("{none}", none) for word in words))


def test_a_platform_folder_without_a_cluster_gets_one_sentence(settings: Any, tmp_path: Path) -> None:
    settings.DATA = tmp_path
    network.close()
    with pytest.raises(CommandError, match=f"^No cluster has been made in {tmp_path} yet"):
        call_command("members", "show")


def test_a_change_without_a_quorum_says_that_it_waits_for_one(
    say: Say,
    living: LivingGateway,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    node = ClusterFolder(settings.DATA).node("r1")
    node.create()
    ensure_seed(node.key)
    living.quorum = False
    wait = changes.wait

    def taken_back(row: Any, seconds: float) -> Any:
        changes.cancel(row.pk)
        return wait(row, seconds)

    monkeypatch.setattr(changes, "wait", taken_back)
    with pytest.raises(CommandError, match="Cancelled before anything was sent"):
        say("members", "rotate", "r1", "--yes")
    told = capsys.readouterr().out
    assert "3 needed; nothing can be decided. Change 1 waits for a quorum; after that `make up`" in told


def test_a_member_moves_as_its_own_host_and_an_administrator_say(
    say: Say, living: LivingGateway, settings: Any
) -> None:
    node = ClusterFolder(settings.DATA).node("r2")
    node.create()
    write_private(node.key, encode_seed(sha256(b"r2").digest()))
    told = say("members", "moved", "--id", "r2", "--host", "r2.example", "--port", "5001")
    assert "r2 is reached at r2.example:5001 from its next start on" in told
    assert moved_to(node) == ("r2.example", 5001)
    assert node.address.read_text().strip().endswith(f"/p2p/{peer_id(key_pair('r2')[0])}")
    verb, *words = told.rpartition("manage.py members ")[2].split()
    told = say("members", verb, *words, "--yes")
    assert living.dialled == {"r2": ("r2.example", 5001)}
    assert "seat 2  r2  new_address\n" in told
    assert told.endswith(f"epoch 1 has begun, after sequence {living.present.after}.\n")
    assert "\nr2  r2.example:5001  " in say("members", "show")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("move", "r2", "--host", "0.0.0.0", "--port", "5001"), "host must be"),  # noqa: S104
        (("move", "r2", "--host", "r2.example", "--port", "0"), "port must be"),
        (("move", "r9", "--host", "r9.example", "--port", "5001"), "no member with this name"),
    ],
)
def test_a_member_does_not_move_to_where_nobody_reaches_it(
    say: Say, living: LivingGateway, words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        say("members", *words, "--yes")
    assert (living.present.epoch, living.dialled.keys() & {"r2"}) == (0, set())


def test_a_newcomer_elsewhere_gets_genesis_and_the_present_members(
    say: Say, living: LivingGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two files reach its host; its key stays there."""
    say("members", "parameters", "view_timeout=900000", "--yes")
    sent, data = tmp_path / "sent.bin", tmp_path / "elsewhere"
    say("members", "show", "--write", str(sent))
    files = ("--genesis", str(ClusterFolder(tmp_path).genesis), "--sources", str(sent))

    def prepare() -> str:
        call_command("members", "prepare", "--data-dir", str(data), "--id", "n5", *files)
        return capsys.readouterr().out.strip()

    name, node = prepare(), ClusterFolder(data).node("n5")
    assert name == peer_id(public_key_of(read_seed(node.key)))
    assert canonical.decode(Membership, node.sources.read_bytes()) == living.present
    assert living.present.epoch == 1
    assert node.genesis.read_bytes() == g.encode(living.genesis)
    say("members", "parameters", "view_timeout=700000", "--yes")
    say("members", "show", "--write", str(sent))
    assert prepare() == name
    assert canonical.decode(Membership, node.sources.read_bytes()).epoch == 2
    assert not ClusterFolder(tmp_path).node("n5").identity.exists()
