"""What a ceremony tells each party, step by step, with the files that it writes; and every wrong step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.genesis import Parameters
from dtvn.protocol.genesis import ceremony as c
from tests.founding.genesis_story import GenesisStory, fixed_chance, private_files
from tests.founding.parties import NOWHERE, Party
from tests.golden import Compare

GOLDEN = Path(__file__).parent / "golden"
PORTS = {"venue": 41001, "promoter": 41002, "seller": 41003, "auditor": 41004}


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GenesisStory]:
    fixed_chance(monkeypatch)
    with private_files():
        yield GenesisStory(tmp_path)


def place(party: Party, port: int, host: str = "127.0.0.1", name: str = "") -> tuple[object, ...]:
    return ("--data-dir", party.data, "--id", name or party.name, "--host", host, "--port", port)


def parties_of(story: GenesisStory, names: dict[str, int], *terms: object) -> list[Party]:
    """A proposal, and a copy of it for each party."""
    draft = story.root / "draft.genesis"
    story.types("init", "--name", "Cup final", "--out", draft, *terms)
    parties = [Party(story.root, name) for name in names]
    for party in parties:
        party.receives(draft)
    story.files()
    return parties


def test_four_parties(story: GenesisStory, golden: Compare) -> None:
    venue, promoter, seller, auditor = parties = parties_of(story, PORTS, "--members", 4)
    story.types("show", venue.file)
    story.types("join", venue.file, *place(venue, 41001), "--grant", "gate:final", "--grant", "issue")
    story.types("join", promoter.file, *place(promoter, 41002, "cup.example"), "--grant", "admin")
    story.types("join", seller.file, *place(seller, 41003), "--no-platform")
    story.types("join", auditor.file, *place(auditor, 41004, "::1"), "--out", story.root / "fourth.genesis")
    auditor.file.write_bytes((story.root / "fourth.genesis").read_bytes())
    story.types("join", venue.file, *place(venue, 41001), "--grant", "gate:final", "--grant", "issue")
    story.types("join", venue.file, *place(venue, 41009))
    story.types("seal", venue.file, promoter.file, "--data-dir", venue.data)
    story.types("seal", venue.file, promoter.file, "--data-dir", venue.data, "--merge-only")
    others = [party.file for party in parties]
    story.types("show", venue.file)
    story.types("seal", venue.file, *others, "--data-dir", venue.data, "--out", story.root / "sealed.one")
    story.types("seal", venue.file, *others, "--data-dir", venue.data, "--out", story.root / "sealed.one")
    story.types("seal", venue.file, *others, "--data-dir", venue.data)
    story.types("install", venue.file, "--data-dir", venue.data)
    story.types("show", venue.file)
    for party in (promoter, seller, auditor):
        story.types("seal", party.file, *others, "--data-dir", party.data)
    story.types("show", auditor.file)
    story.types("install", auditor.file, "--data-dir", venue.data)
    story.types("install", auditor.file, "--data-dir", venue.data)
    story.types("install", auditor.file, "--data-dir", story.root / "nobody")
    story.types("seal", promoter.file, auditor.file, "--data-dir", promoter.data, "--merge-only")
    outside = story.root / "outside"
    story.types("attach", auditor.file, "--data-dir", outside, "--id", "office")
    story.types("attach", auditor.file, "--data-dir", outside, "--id", "office")
    story.types("attach", auditor.file, "--data-dir", outside, "--id", "r1")
    story.types("attach", venue.file, "--data-dir", outside, "--id", "no such/name")
    story.types("attach", story.root / "draft.genesis", "--data-dir", outside, "--id", "office")
    (story.root / "noise").write_bytes(b"noise")
    story.types("attach", auditor.file, "--data-dir", outside, "--id", "x", "--sources", story.root / "noise")
    members = story.root / "members"
    members.write_bytes(canonical.encode_trimmed(founding(c.open_genesis(auditor.file.read_bytes()))))
    for _time in range(2):
        hall = story.root / "hall"
        story.types("attach", auditor.file, "--data-dir", hall, "--id", "hall", "--sources", members)
    golden(GOLDEN / "four-parties.txt", story.text())


def test_raft_without_grants(story: GenesisStory, golden: Compare) -> None:
    one, two, three = parties = parties_of(
        story, {"a1": 1, "b2": 2, "c3": 3}, "--members", 3, "--consensus", "raft"
    )
    for number, party in enumerate(parties):
        story.types("join", party.file, *place(party, 42000 + number))
    files = [party.file for party in parties]
    story.types("seal", one.file, *files, "--data-dir", one.data)
    for party in parties:
        story.types("seal", party.file, *files, "--data-dir", party.data, "--without-grants")
    story.types("show", three.file)
    story.types("install", three.file, "--data-dir", two.data)
    golden(GOLDEN / "raft-without-grants.txt", story.text())


def test_wrong_steps(story: GenesisStory, golden: Compare) -> None:
    draft = story.root / "cup"
    init = ("init", "--name", "Cup", "--out", draft, "--members")
    for wrong in (0, 32, -1):
        story.types(*init, wrong)
    story.types("init", "--name", "", "--members", 2, "--out", draft)
    story.types("init", "--name", "x" * 65, "--members", 2, "--out", draft)
    for parameter in Parameters.__struct_fields__:
        story.types(*init, 2, f"--{parameter.replace('_', '-')}", 10**12)
    story.types(*init, 2)
    story.types(*init, 2)
    party, other = Party(story.root, "venue"), Party(story.root, "promoter")
    party.receives(draft)
    other.receives(draft)
    story.tell("places that no other member reaches, and names")
    for host in (*NOWHERE, "", "two words", "http://venue", "x" * 256):
        story.types("join", party.file, *place(party, 41001, host))
    for port in (0, 65536, -1):
        story.types("join", party.file, *place(party, port))
    for name in ("", "r1", "bad name", "x" * 65, "näme"):
        story.types("join", party.file, *place(party, 41001, name=name or " "))
    story.types("join", story.root / "missing", *place(party, 41001))
    (story.root / "noise").write_bytes(b"noise")
    story.types("join", story.root / "noise", *place(party, 41001))
    story.types("show", story.root / "noise")
    story.tell("before all have joined")
    story.types("join", party.file, *place(party, 41001), "--grant", "issue")
    story.types("seal", party.file, "--data-dir", party.data)
    story.types("seal", party.file, "--data-dir", other.data)
    story.types("install", party.file, "--data-dir", party.data)
    story.tell("the same place, the same name")
    story.types("join", other.file, *place(other, 41001))
    story.types("seal", party.file, other.file, "--data-dir", party.data)
    other.receives(draft)
    third = Party(story.root, "third")
    third.receives(draft)
    story.types("join", third.file, *place(third, 41003))
    story.types("join", other.file, *place(other, 41002))
    story.types("seal", party.file, other.file, third.file, "--data-dir", party.data, "--merge-only")
    story.tell("a key file that is no key")
    (other.folder.node("promoter").key).write_text("nothing")
    story.types("seal", other.file, party.file, "--data-dir", other.data)
    golden(GOLDEN / "wrong-steps.txt", story.text())
