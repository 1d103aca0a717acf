"""A genesis by several parties: own keys, one file, a seal of each (R15, R37)."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.ceremony.founding import join
from dtvn.net import public_key_of, read_seed
from dtvn.node.options import StartError, load_genesis
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis import ceremony as c
from dtvn.protocol.genesis import terms
from tests.founding.parties import NOWHERE, Party, Said, found
from tests.node.test_own_folder import Told
from tests.support.table import table
from validators.management.commands.genesis import grant

PORTS = {"auditor": 41004, "promoter": 41002, "seller": 41003, "venue": 41001}


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    path = tmp_path / "draft.genesis"
    assert Said("init", "--name", "Cup final", "--members", 2, "--out", path).code == 0
    return path


@pytest.fixture
def pair(tmp_path: Path, draft: Path) -> list[Party]:
    """Two parties that joined, each in its own copy of the draft."""
    parties = [Party(tmp_path, name) for name in ("promoter", "venue")]
    for party in parties:
        party.receives(draft)
        assert party.joins(PORTS[party.name]).code == 0
    return parties


def test_four_parties_found_a_cluster_and_share_no_secret(tmp_path: Path) -> None:
    parties = found(tmp_path, PORTS)
    geneses = {party.folder.genesis.read_bytes() for party in parties}
    assert len(geneses) == 1
    genesis = c.open_genesis(geneses.pop())
    assert [member.id for member in genesis.members] == sorted(PORTS)
    assert not genesis.demo
    for party in parties:
        own = party.folder.node(party.name)
        [member] = [member for member in genesis.members if member.id == party.name]
        assert public_key_of(read_seed(own.key)) == member.public_key
        assert [folder.name for folder in party.folder.nodes.iterdir()] == [party.name]
    secrets = [{path.read_bytes().strip() for path in party.data.rglob("*.key")} for party in parties]
    assert all(len(keys) == 3 for keys in secrets)  # node, gateway, learner
    assert len(set.union(*secrets)) == 12
    handed_over = b"".join(party.file.read_bytes() for party in parties)
    for key in set.union(*secrets):
        assert key not in handed_over
        assert bytes.fromhex(key.decode()) not in handed_over


def test_r15_principals_of_several_parties_have_only_rights_all_sealed(tmp_path: Path) -> None:
    parties = found(tmp_path, PORTS, {"seller": ("issue", "gate:final")})
    genesis = c.open_genesis(parties[0].folder.genesis.read_bytes())
    rights = {principal.name: principal.grants for principal in genesis.principals if principal.grants}
    assert rights == {"seller-gateway": (g.Grant("*", "issue"), g.Grant("final", "gate"))}
    assert len(genesis.principals) == 8


def test_an_unsealed_genesis_is_refused_by_every_node(tmp_path: Path, pair: list[Party]) -> None:
    venue, promoter = pair[1], pair[0]
    told = Told(venue.data)
    with pytest.raises(StartError, match="1 of 2 parties have joined"):
        told.prepare(id="venue", genesis=str(venue.file))
    assert "not yet sealed by promoter" in venue.seals(promoter.file).text
    with pytest.raises(StartError, match="not sealed yet: promoter must"):
        told.prepare(id="venue", genesis=str(venue.file))
    assert not venue.folder.genesis.exists()
    plain = tmp_path / "plain.bin"
    plain.write_bytes(g.encode(c.founded(c.decode(venue.file.read_bytes()))))
    with pytest.raises(StartError, match="not sealed: take the file"):
        told.prepare(id="venue", genesis=str(plain))
    assert promoter.seals(venue.file).code == 0
    told.prepare(id="venue", genesis=str(promoter.file))
    assert load_genesis(venue.folder.node("venue").genesis).name == "Cup final"


def test_sealing_is_refused_before_all_have_joined(pair: list[Party]) -> None:
    said = pair[0].seals()
    assert (said.code, "1 of 2 parties have joined" in said.error) == (1, True)
    assert "1 of 2 parties" in pair[0].seals(more=("--merge-only",)).text
    with pytest.raises(StartError, match="1 of 2 parties"):
        load_genesis(pair[0].file)


def test_one_party_too_many_is_refused(tmp_path: Path, draft: Path, pair: list[Party]) -> None:
    third = Party(tmp_path, "third")
    third.receives(draft)
    third.joins(41007)
    pair[0].seals(pair[1].file, more=("--merge-only",))
    said = pair[0].seals(third.file)
    assert (said.code, "more than the 2 parties" in said.error) == (1, True)


def test_a_changed_record_and_a_changed_seal_are_found(pair: list[Party]) -> None:
    promoter, venue = pair
    assert promoter.seals(venue.file).code == 0
    good = c.decode(promoter.file.read_bytes())
    record = good.records[0]
    grants = (g.Grant("*", "admin"),)
    richer = replace(record.party, principals=(replace(record.party.principals[0], grants=grants),))
    moved = replace(record.party, member=replace(record.party.member, port=1))
    forged = [
        (replace(good, records=(replace(record, party=richer), good.records[1])), "signed by each"),
        (replace(good, records=(replace(record, party=moved), good.records[1])), "not by the key"),
        (replace(good, records=good.records[:1]), "1 of 2 parties"),
        (replace(good, records=good.records[::-1]), "ascending"),
        (replace(good, seals=(*good.seals, *good.seals)), "ascending"),
        (replace(good, seals=(replace(good.seals[0], signature=bytes(64)),)), "not of this genesis"),
        (replace(good, seals=(replace(good.seals[0], member="venue"),)), "not of this genesis"),
        (replace(good, terms=replace(good.terms, name="Other")), "other terms"),
        (replace(good, format="dtvn-genesis-4"), "format"),
    ]
    for ceremony, complaint in forged:
        with pytest.raises(g.GenesisError, match=complaint):
            c.decode(c.encode(ceremony))
    assert c.decode(c.encode(good)) == good


def test_a_party_cannot_list_the_key_of_another(tmp_path: Path, pair: list[Party]) -> None:
    """A thief could not use it, but its owner could be mistaken for him."""
    venue = c.decode(pair[1].file.read_bytes()).records[0]
    stolen = replace(venue, party=replace(venue.party, member=replace(venue.party.member, id="thief")))
    with pytest.raises(g.GenesisError, match="not by the key"):
        c.with_record(c.decode(pair[0].file.read_bytes()), stolen)


@pytest.mark.parametrize(
    ("wish", "complaint"),
    [
        (("--members", 0), "a cluster has 1 to 31, not 0"),
        (("--members", 4, "--checkpoint-interval", 3_178), "3178 is too long for a cluster of 4"),
        (("--members", 31, "--checkpoint-interval", 578), "578 is too long for a cluster of 31"),
        (("--members", 4, "--batch-operations-max", 5_001), "5001 is not between 1 and 5000"),
    ],
)
def test_r20_impossible_terms_are_never_proposed(
    tmp_path: Path, wish: tuple[object, ...], complaint: str
) -> None:
    out = tmp_path / "draft.genesis"
    said = Said("init", "--name", "Cup final", "--out", out, *wish)
    assert (said.code, complaint in said.error, out.exists()) == (1, True, False)


def test_r20_impossible_terms_are_not_joined(tmp_path: Path, draft: Path) -> None:
    """The file was made by other means."""
    party = Party(tmp_path, "venue")
    good = c.decode(draft.read_bytes())
    terms = replace(good.terms, parameters=replace(good.terms.parameters, checkpoint_interval=4_237))
    party.file.parent.mkdir()
    party.file.write_bytes(c.encode(replace(good, terms=terms)))
    said = party.joins(41001)
    assert (said.code, "4237 is too long for a cluster of 2" in said.error) == (1, True)


def test_an_address_that_cannot_be_dialled_is_refused_at_once(tmp_path: Path, draft: Path) -> None:
    """Not only when all have joined and the first one seals."""
    for host in ("node_1", *NOWHERE):
        place = ("--data-dir", tmp_path / "data", "--id", "venue", "--host", host, "--port", 41001)
        said = Said("join", draft, *place)
        assert (said.code, "gives no address that others could dial: host must be" in said.error) == (1, True)
        assert not (tmp_path / "data").exists()


def test_a_file_from_before_an_address_was_refused_stays_readable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, draft: Path
) -> None:
    """Clusters run from such files: their members learned each other's addresses."""
    place = ("--data-dir", tmp_path / "data", "--id", "venue", "--host", NOWHERE[0], "--port", 41001)
    with monkeypatch.context() as before:
        before.setattr(g, "why_not_reached", lambda host: "")
        assert Said("join", draft, *place).code == 0
    assert c.decode(draft.read_bytes()).records[0].party.member.host == NOWHERE[0]


def test_a_party_s_keys_lie_in_its_platform_s_folder_by_default(
    settings: Any, tmp_path: Path, draft: Path
) -> None:
    settings.DATA = tmp_path / "platform"
    said = Said("join", draft, "--id", "venue", "--host", "127.0.0.1", "--port", 41001)
    assert (said.code, said.error) == (0, "")
    assert (tmp_path / "platform" / "nodes" / "venue" / "identity" / "node.key").is_file()
    assert "holds no key of a member" not in Said("seal", draft).error


def test_an_impossible_port_is_refused_before_a_key_is_made(tmp_path: Path, draft: Path) -> None:
    party = Party(tmp_path, "venue")
    party.receives(draft)
    said = party.joins(99999999999999999999999)
    assert (said.code, "'venue' gives no address that others could dial" in said.error) == (1, True)
    assert not party.data.exists()


def test_two_members_at_one_address_are_refused(tmp_path: Path, draft: Path) -> None:
    first, second = (Party(tmp_path, name) for name in ("promoter", "venue"))
    for party in (first, second):
        party.receives(draft)
        assert party.joins(41001).code == 0
    said = first.seals(second.file)
    assert (said.code, "'promoter' and 'venue' give one address, 127.0.0.1:41001" in said.error) == (1, True)


def test_each_name_has_one_record(tmp_path: Path, draft: Path, pair: list[Party]) -> None:
    twin = Party(tmp_path / "elsewhere", "venue")
    twin.receives(draft)
    assert twin.joins(41009).code == 0
    said = pair[1].seals(twin.file)
    assert (said.code, "'venue' has joined with another record" in said.error) == (1, True)


def test_files_of_two_ceremonies_are_not_merged(tmp_path: Path, pair: list[Party]) -> None:
    other = tmp_path / "other.genesis"
    assert Said("init", "--name", "Cup final", "--members", 2, "--out", other).code == 0
    said = pair[0].seals(other)
    assert (said.code, "two clusters" in said.error) == (1, True)


def test_no_key_seals_two_clusters(tmp_path: Path, draft: Path) -> None:
    """Files of one ceremony that branched: b founded a cluster with a; another file says b and c."""
    a, b, c_ = (Party(tmp_path, name) for name in ("a", "b", "c"))
    for party in (a, b, c_):
        party.receives(draft)
    assert b.joins(41002).code == 0
    c_.receives(b.file)
    assert a.joins(41001).code == 0
    assert c_.joins(41003).code == 0
    for party, other in ((a, b), (b, a), (a, b), (b, a)):
        assert party.seals(other.file).code == 0
    served = b.folder.genesis.read_bytes()
    branch = tmp_path / "branch.genesis"
    branch.write_bytes(c_.file.read_bytes())
    for out in ((), ("--out", str(tmp_path / "elsewhere"))):
        said = Said("seal", branch, "--data-dir", b.data, *out)
        assert (said.code, "genesis.bin belongs to another cluster" in said.error) == (1, True)
        assert branch.read_bytes() == c_.file.read_bytes(), "nothing was signed"
    assert not (tmp_path / "elsewhere").exists()
    assert b.folder.genesis.read_bytes() == served
    assert "sealed by all" in b.seals().text, "its own cluster is sealed as before"
    assert "not yet sealed by b" in c_.seals().text


def test_a_folder_that_serves_a_cluster_joins_no_other(tmp_path: Path) -> None:
    party = found(tmp_path, {"promoter": 41002, "venue": 41001})[1]
    other = tmp_path / "other.genesis"
    assert Said("init", "--name", "League", "--members", 2, "--out", other).code == 0
    before = other.read_bytes()
    said = Said("join", other, "--data-dir", party.data, "--id", "new", "--host", "h", "--port", 41005)
    assert (said.code, "belongs to another cluster" in said.error) == (1, True)
    assert other.read_bytes() == before
    assert not party.folder.node("new").key.exists()
    assert party.joins(41001).code == 0, "its own record again changes nothing"


HIDDEN = "a\r\x1b[2Kprincipal    venue-gateway  no grants\x1b[8m"
"""To a terminal: back to the start of the line, away with it, another line, and what follows unseen."""


@pytest.mark.parametrize("hidden", [g.Grant(HIDDEN, "gate"), g.Grant("*", HIDDEN)])
def test_r15_a_party_cannot_hide_the_grants_it_asks_for(
    tmp_path: Path, draft: Path, hidden: g.Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`show` is where the others see who gets `admin:*`; the liar's own program checks nothing."""
    liar, other = Party(tmp_path, "liar"), Party(tmp_path, "venue")
    grants = (g.Grant("*", "admin"), hidden)
    for joined in (0, 1):
        with monkeypatch.context() as own:
            for room in (g, terms):
                own.setattr(room, "check_grant", lambda grant: None)
            full = join(
                c.decode(draft.read_bytes()),
                liar.folder,
                node_id="liar",
                host="127.0.0.1",
                port=41009,
                principals={"gateway": grants},
            )
        assert len(full.records) == joined + 1
        file = tmp_path / f"{joined}.genesis"
        file.write_bytes(c.encode(full))
        for said in (Said("show", file), Said("seal", file, "--data-dir", other.data)):
            assert (said.code, "grants: 'a\\r" in said.error, "\x1b" in said.error) == (1, True, False)
            assert said.text == "", "nothing is shown of it"
        other.receives(draft)
        assert other.joins(41001).code == 0
        draft = other.file


def test_show_prints_no_terminal_control_characters(
    pair: list[Party], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the checks before it let them pass."""
    good = c.decode(pair[0].file.read_bytes())
    (record,) = good.records
    gateway, learner = record.party.principals
    party = replace(record.party, principals=(replace(gateway, grants=(g.Grant(HIDDEN, "gate"),)), learner))
    odd = replace(good, records=(replace(record, party=party),))
    monkeypatch.setattr("validators.management.founding.read_file", lambda path: odd)
    text = Said("show", pair[0].file).text
    assert "a??[2Kprincipal" in text
    assert "\r" not in text
    assert "\x1b" not in text


@table("wish", [":gate", "gate:", "ü:gate", "two words:gate", f"{'e' * 65}:gate", "walk"], count=6)
def test_a_grant_of_no_event_is_refused(wish: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"names no event|is not one of"):
        grant(wish)


@pytest.mark.parametrize(
    ("wish", "event"), [("gate", g.ANY_EVENT), ("final:gate", "final"), ("gate:final", "final")]
)
def test_a_grant_may_be_written_in_either_order(wish: str, event: str) -> None:
    assert grant(wish) == g.Grant(event, "gate")


def test_r37_show_names_missing_parties_and_tolerated_faults(pair: list[Party]) -> None:
    promoter, venue = pair
    assert "one crash stops it" in promoter.seals(venue.file).warnings
    shown = Said("show", promoter.file)
    assert (shown.code, shown.error) == (1, "not sealed: venue must still sign")
    assert "2 members: 2 decide; safe with 0 Byzantine, available with 0 down" in shown.text
    assert "crash-only, no liar tolerated; one crash stops it" in shown.text
    venue.seals(promoter.file)
    shown = Said("show", venue.file)
    assert shown.code == 0
    assert g.cluster_id(c.open_genesis(venue.file.read_bytes())).hex() in shown.text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("init", "--name", "", "--members", "4", "--out", "{tmp}/a"), "name"),
        (
            ("init", "--name", "x", "--members", "4", "--checkpoint-interval", "0", "--out", "{tmp}/a"),
            "checkpoint_interval",
        ),
        (("init", "--name", "x", "--members", "4", "--out", "{tmp}/draft.genesis"), "already exists"),
        (("init", "--name", "x", "--members", "32", "--out", "{tmp}/a"), "1 to 31"),
        (("join", "{tmp}/none", "--id", "a", "--host", "h", "--port", "1"), "cannot be read"),
        (
            ("join", "{tmp}/draft.genesis", "--id", "../a", "--host", "h", "--port", "1"),
            "not a valid node name",
        ),
        (("join", "{tmp}/draft.genesis", "--id", "a", "--host", "h", "--port", "0"), "address"),
        (("seal", "{tmp}/draft.genesis"), "holds no key of a member"),
        (("show", "{tmp}/draft.genesis"), "0 of 2 parties have joined"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, draft: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    place = () if arguments[0] in ("init", "show") else ("--data-dir", tmp_path / "data")
    said = Said(*(word.format(tmp=tmp_path) for word in arguments), *place)
    assert said.code == 1
    assert complaint in said.error
    assert "\n" not in said.error


def test_malformed_bytes_are_refused_as_a_genesis(tmp_path: Path, draft: Path) -> None:
    data = draft.read_bytes()
    for junk in (b"", b"\x94", data[:-1], data + b"\0", bytes(100)):
        with pytest.raises(g.GenesisError):
            c.decode(junk)
        with pytest.raises(g.GenesisError):
            c.open_genesis(junk)
    large = b"x" * (c.FILE_BYTES_MAX + 1)
    for refuse in (c.decode, c.open_genesis):
        with pytest.raises(g.GenesisError, match=r"^it is too large, over \d+ bytes$"):
            refuse(large)


def test_every_step_refuses_a_folder_whose_genesis_is_too_large(tmp_path: Path) -> None:
    venue, promoter = found(tmp_path, {"venue": 41001, "promoter": 41002})
    with venue.folder.genesis.open("r+b") as file:
        file.truncate(c.FILE_BYTES_MAX + 1)
    place = ("--data-dir", venue.data)
    for said in (
        venue.joins(41001),
        venue.seals(promoter.file),
        Said("install", venue.file, *place),
        Said("attach", venue.file, *place, "--id", "agency"),
    ):
        why = f"it is too large, over {c.FILE_BYTES_MAX} bytes"
        assert said.error == f"The genesis {venue.folder.genesis} is not usable: {why}."
