"""Genesis of a cluster that names its mode: form 3. The other forms stay as they are (R1, R44)."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from dtvn.protocol import canonical, genesis
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus.membership import Membership, founding
from dtvn.protocol.genesis import ceremony as c
from dtvn.protocol.quorum import Mode
from dtvn.protocol.versions import FIRST
from tests.host.support import key_pair, make_genesis
from tests.host.test_continued_genesis import CONTINUES, FORM_1
from tests.support.table import table

ID_3 = "b80baead976f01cd05afa760e7e03ed69266fa24b7995ec91beb9d9640dffd6e"
"""The cluster id of `chosen(1)`."""


def chosen(members: int = 5) -> genesis.ChosenGenesis:
    value = genesis.agreeing_by(make_genesis(members, "golden", version=FIRST), Mode.RAFT)
    assert isinstance(value, genesis.ChosenGenesis)
    return value


class NewestBefore(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The fields that programs before form 3 know."""

    name: str
    created_at: int
    members: tuple[genesis.Member, ...]
    principals: tuple[genesis.Principal, ...]
    parameters: genesis.Parameters
    demo: bool
    protocol_version: int
    continues: genesis.Continued


def test_r44_forms_1_and_2_mean_pbft_and_keep_their_bytes() -> None:
    plain = genesis.decode(FORM_1)
    assert genesis.mode(plain) is Mode.PBFT
    assert genesis.encode(genesis.agreeing_by(plain, Mode.PBFT)) == FORM_1
    continuing = genesis.continuing(plain, CONTINUES)
    assert type(continuing) is genesis.ContinuedGenesis
    assert genesis.mode(continuing) is Mode.PBFT


def test_r44_form_3_round_trips_and_is_in_the_cluster_id() -> None:
    value = chosen(1)
    assert genesis.decode(genesis.encode(value)) == value
    assert genesis.mode(value) is Mode.RAFT
    assert genesis.encode(value)[:1] == b"\x99", "nine fields"
    assert genesis.cluster_id(value).hex() == ID_3
    assert genesis.cluster_id(value) != genesis.cluster_id(make_genesis(1, "golden", version=FIRST))
    assert genesis.cluster_id(value) != genesis.cluster_id(genesis.continuing(value, CONTINUES))


def test_r44_readers_of_the_other_forms_refuse_form_3() -> None:
    for value in (chosen(), genesis.continuing(chosen(), CONTINUES)):
        for older in (genesis.Genesis, NewestBefore):
            with pytest.raises(canonical.CanonicalError, match=f"not a {older.__name__}: Expected"):
                canonical.decode(older, genesis.encode(value))


@table("word", ["pbft", "paxos", "", "Raft", "x" * 100], count=5)
def test_r44_a_word_that_names_no_other_mode_is_refused(word: str) -> None:
    with pytest.raises(genesis.GenesisError, match=r"^consensus: ") as caught:
        genesis.decode(genesis.encode(replace(chosen(), consensus=word)))
    assert "'raft'" in str(caught.value), "it names what there is"


@pytest.mark.parametrize("version", [1, 2, 4])
def test_r44_form_3_has_its_own_version(version: int) -> None:
    with pytest.raises(genesis.GenesisError, match=r"protocol_version: .* has 3, not"):
        genesis.decode(genesis.encode(replace(chosen(), protocol_version=version)))


def test_r44_two_continued_states_are_refused() -> None:
    with pytest.raises(genesis.GenesisError, match="length"):
        genesis.decode(genesis.encode(replace(chosen(), continues=(CONTINUES, CONTINUES))))


def test_r44_a_continuation_keeps_the_mode() -> None:
    value = genesis.continuing(chosen(), CONTINUES)
    assert genesis.mode(genesis.decode(genesis.encode(value))) is Mode.RAFT
    assert genesis.continued(value) == CONTINUES
    assert genesis.continued(chosen()) is None
    assert founding(value).after == CONTINUES.sequence
    with pytest.raises(genesis.GenesisError, match="not a place in a log"):
        genesis.check(genesis.continuing(chosen(), replace(CONTINUES, sequence=0)))


def test_r44_epochs_keep_the_mode_and_those_of_pbft_their_bytes() -> None:
    for value, form in ((make_genesis(5, version=FIRST), b"\x94"), (chosen(), b"\x95")):
        now = founding(value)
        later = now.followed_by(10, now.members[:4], now.parameters)
        assert (later.epoch, later.mode) == (1, genesis.mode(value))
        data = canonical.encode_trimmed(later)
        assert data[:1] == form
        assert canonical.decode(Membership, data) == later


def test_r44_the_configuration_counts_by_the_mode() -> None:
    found = {
        value: configuration.build(value, genesis.cluster_id(value), "r0")
        for value in (make_genesis(5, version=FIRST), chosen())
    }
    assert [(each.f, each.q) for each in found.values()] == [(1, 4), (0, 3)]


def test_r44_an_epoch_of_another_mode_than_genesis_is_refused() -> None:
    value = chosen()
    other = founding(make_genesis(5, version=FIRST))
    with pytest.raises(configuration.ConfigError, match=r"^mode: .*pbft.*raft"):
        configuration.build(value, genesis.cluster_id(value), "r0", other)


def terms(consensus: Mode = Mode.RAFT, continues: genesis.Continued | None = None) -> c.Terms:
    return c.propose("new", 1, 1, genesis.Parameters(), consensus=consensus, continues=continues)


def test_r44_a_ceremony_seals_the_mode() -> None:
    begun = c.begin(terms())
    assert begun.format == c.CHOSEN_FORMAT == "dtvn-genesis-3"
    assert c.decode(c.encode(begun)) == begun
    party = c.Party(terms().digest, genesis.Member("a", key_pair("a")[0], "venue.example", 1), ())
    signature = c.ED25519.sign(key_pair("a")[1], c.party_bytes(party))
    joined = c.with_record(begun, c.Record(party, (signature,)))
    assert genesis.mode(c.founded(joined)) is Mode.RAFT
    assert c.founded(joined).protocol_version == genesis.CHOSEN_VERSION
    with pytest.raises(genesis.GenesisError, match="joined on other terms"):
        c.with_record(c.begin(terms(Mode.PBFT)), joined.records[0])


def test_r44_a_ceremony_that_continues_keeps_both() -> None:
    begun = c.decode(c.encode(c.begin(terms(continues=CONTINUES))))
    assert (c.mode(begun.terms), c.continued(begun.terms)) == (Mode.RAFT, CONTINUES)
    plain = terms(Mode.PBFT, CONTINUES)
    assert (type(plain), c.mode(plain), c.continued(plain)) == (c.ContinuedTerms, Mode.PBFT, CONTINUES)


def test_r44_terms_of_an_unknown_mode_are_refused() -> None:
    wrong = replace(terms(), consensus="paxos")
    with pytest.raises(genesis.GenesisError, match=r"^consensus: 'paxos'"):
        c.decode(c.encode(c.Ceremony(c.CHOSEN_FORMAT, wrong, (), ())))
