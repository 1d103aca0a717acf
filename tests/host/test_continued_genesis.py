"""Genesis of a cluster that continues another one: form 2. Those of form 1 stay as they are (R1, R11)."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from dtvn.protocol import canonical, genesis
from dtvn.protocol.consensus.config import build
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.genesis import ceremony as c
from dtvn.protocol.versions import FIRST
from tests.host.support import key_pair, make_genesis
from tests.support.table import table
from verifier import dtvn_verify

FORM_1 = bytes.fromhex(
    "97a6676f6c64656ecf00060a24181e40009194a27230c42036fed1b44f14e19bf990d9e87be681cb19e94ee939b09604c2dbfc28c5"
    "093439a93132372e302e302e31cd1b589193a767617465776179c4209c1cc50dd9eedad4ecc9cfce2906befb205909117b6e51f9cf"
    "862be33bb19d8e9492a12aa561646d696e92a12aa46761746592a12aa5697373756592a12aa76f706572617465970ace001e8480ce"
    "000c3500cd0400ce000f4240cd03e8ce00080000c301"
)
"""make_genesis(1, "golden", version=FIRST), written before there was a second form."""
ID_1 = "4f9f57729d0680535822a33076879dfd6722d3580ad1e693d41dc17f89e540d5"
ID_2 = "914d14be7b51a57872a6aaaadd88a9a7ab7238b0fddf1285d0b7705b8f722a2e"

CONTINUES = genesis.Continued(
    cluster=b"c" * 32,
    epoch=2,
    sequence=70,
    state_root=b"s" * 32,
    log_root=b"l" * 32,
    timestamp=1_700_000_000_000_000,
    signers=tuple(genesis.Signer(f"o{at}", key_pair(f"o{at}")[0]) for at in range(3)),
)


def continued(members: int = 4) -> genesis.ContinuedGenesis:
    return genesis.continuing(make_genesis(members, "golden", version=FIRST), CONTINUES)


class OldGenesis(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The fields that programs before form 2 know."""

    name: str
    created_at: int
    members: tuple[genesis.Member, ...]
    principals: tuple[genesis.Principal, ...]
    parameters: genesis.Parameters
    demo: bool
    protocol_version: int = 1


def test_r1_a_genesis_of_form_1_keeps_its_bytes_and_its_cluster_id() -> None:
    found = genesis.decode(FORM_1)
    assert type(found) is genesis.Genesis
    assert found == make_genesis(1, "golden", version=FIRST)
    assert genesis.encode(found) == FORM_1
    assert genesis.cluster_id(found).hex() == ID_1
    assert genesis.continued(found) is None


def test_r11_form_2_round_trips_and_is_in_the_cluster_id() -> None:
    value = continued(1)
    assert genesis.decode(genesis.encode(value)) == value
    assert genesis.cluster_id(value).hex() == ID_2
    others = [
        replace(value, continues=replace(CONTINUES, **{field: changed}))
        for field, changed in (
            ("cluster", b"d" * 32),
            ("epoch", 3),
            ("sequence", 71),
            ("state_root", b"d" * 32),
            ("log_root", b"d" * 32),
            ("timestamp", 1),
            ("signers", CONTINUES.signers[:2]),
        )
    ]
    assert (
        len({genesis.cluster_id(each) for each in [value, make_genesis(1, "golden", version=FIRST), *others]})
        == 9
    )


def test_r11_readers_of_form_1_refuse_form_2() -> None:
    data = genesis.encode(continued())
    with pytest.raises(canonical.CanonicalError, match="at most length 7"):
        canonical.decode(OldGenesis, data)
    with pytest.raises(ValueError, match="the genesis has not the form of one"):
        dtvn_verify.opened(data, dtvn_verify.GENESIS, "the genesis")
    sealed = c.encode(c.begin(terms()))
    with pytest.raises(canonical.CanonicalError, match="at most length 5"):
        canonical.decode(c.Ceremony, sealed)


def terms() -> c.ContinuedTerms:
    return c.ContinuedTerms("new", 1, 2, genesis.Parameters(), 2, continues=CONTINUES)


def test_r11_a_ceremony_of_form_2_round_trips() -> None:
    begun = c.begin(terms())
    assert begun.format == c.CONTINUED_FORMAT
    assert c.decode(c.encode(begun)) == begun
    plain = c.begin(c.Terms("new", 1, 2, genesis.Parameters(), 2))
    with pytest.raises(genesis.GenesisError, match="two clusters"):
        c.merge(begun, plain)
    with pytest.raises(genesis.GenesisError, match="format"):
        c.decode(c.encode(replace(plain, format="dtvn-genesis-4")))


@table(
    ("field", "wrong", "why"),
    [
        ("cluster", b"c", "32 bytes"),
        ("state_root", b"", "32 bytes"),
        ("log_root", bytes(33), "32 bytes"),
        ("sequence", 0, "not a place in a log"),
        ("epoch", -1, "not a place in a log"),
        ("timestamp", 2**63, "not a place in a log"),
        ("signers", (), "nobody signed"),
        ("signers", CONTINUES.signers * 11, "more than a cluster has"),
        ("signers", CONTINUES.signers[:1] * 2, "a name stands twice"),
        ("signers", (genesis.Signer("o0", b"short"),), "an Ed25519 key of its own"),
    ],
    count=10,
)
def test_r11_a_continuation_that_names_no_state_is_refused(field: str, wrong: object, why: str) -> None:
    value = replace(continued(), continues=replace(CONTINUES, **{field: wrong}))
    with pytest.raises(genesis.GenesisError, match=why):
        genesis.decode(genesis.encode(value))


def test_r11_form_2_has_its_own_version() -> None:
    with pytest.raises(genesis.GenesisError, match="has 2, not 1"):
        genesis.decode(genesis.encode(replace(continued(), protocol_version=1)))


def test_r11_the_first_epoch_begins_behind_the_old_log() -> None:
    value = continued()
    assert founding(value).after == 70
    assert build(value, genesis.cluster_id(value), "r0").base == 70
    assert (
        founding(make_genesis(version=FIRST)).after == build(make_genesis(version=FIRST), b"", "r0").base == 0
    )
