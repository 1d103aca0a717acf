"""A cluster that several parties founded: the file that all of them sealed is a chain to check against."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
from nacl import bindings

from dtvn.net import read_seed
from dtvn.proof import Receipts, chain_of_genesis, decode_certificate, encode_certificate, read_chain
from dtvn.proof.certificate import CLUSTER_TAG_SIZE
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.messages import Receipt
from dtvn.protocol.genesis import ceremony
from dtvn.protocol.wire.envelope import KIND_OF, signed_bytes
from tests.founding.parties import Party, found
from tests.proof.support import PaperLog
from tests.proof.verdicts import by_browser, by_dtvn, by_one_file
from tests.support.table import table


def test_r35_the_sealed_file_and_the_platforms_chain_are_the_same_epochs(tmp_path: Path) -> None:
    parties = found(tmp_path, {"promoter": 41002, "venue": 41001})
    sealed = parties[0].folder.genesis.read_bytes()
    founded = ceremony.open_genesis(sealed)
    exported = canonical.encode(chain_of_genesis(g.encode(founded)))
    assert read_chain(sealed) == read_chain(exported)
    assert [member.id for member in read_chain(sealed).epochs[0].members] == ["promoter", "venue"]


def certificate_by(parties: list[Party], cluster: bytes) -> bytes:
    """An admission that was executed on paper, with the receipts of these parties' own keys."""
    log = PaperLog()
    log.admit()
    signed = []
    for index, party in enumerate(parties):
        body = canonical.encode(Receipt(0, index, 3, log.steps[2].entry_hash))
        seed = read_seed(party.folder.node(party.name).key)
        secret = bindings.crypto_sign_seed_keypair(seed)[1]
        data = signed_bytes(cluster, KIND_OF[Receipt], body)
        signed.append((index, bindings.crypto_sign(data, secret)[:64]))
    paper = decode_certificate(log.receipts(3))
    return encode_certificate(
        msgspec.structs.replace(paper, cluster=cluster[:CLUSTER_TAG_SIZE], proof=Receipts(tuple(signed)))
    )


def test_r27_every_verifier_accepts_the_file_that_the_parties_sealed(tmp_path: Path) -> None:
    """The founders need not take the chain from a platform."""
    names = ("auditor", "promoter", "seller", "venue")
    parties = found(tmp_path, {name: 41001 + at for at, name in enumerate(names)}, {"seller": ("issue",)})
    sealed = parties[0].folder.genesis.read_bytes()
    genesis = ceremony.open_genesis(sealed)
    certificate = certificate_by(parties[:3], g.cluster_id(genesis))
    moved = msgspec.structs.replace(genesis, created_at=genesis.created_at + 1)
    chains = (sealed, g.encode(genesis), g.encode(moved), sealed[:-1])
    vectors = [
        {"chain": base64.b64encode(chain).decode(), "certificate": base64.b64encode(certificate).decode()}
        for chain in chains
    ]
    said = [by_dtvn(vector) for vector in vectors]
    assert said[0] == said[1]
    assert (said[0]["signers"], said[0]["members"]) == (["auditor", "promoter", "seller"], 4)
    assert [each["refused"] for each in said[2:]] == ["other_cluster", "malformed"]
    assert [by_one_file(vector) for vector in vectors] == said
    assert by_browser(vectors) == said


@table(
    "noise",
    [b"\x94\x01\x02\x03\x04", b"\xa4abcd", b"\x94\xa1a\x95\xa1b\x01\x01\x90\x01\x91\x92\x90\x90\x90"],
    count=3,
)
def test_p15_a_damaged_sealed_file_is_refused(noise: bytes) -> None:
    vector = {"chain": base64.b64encode(noise).decode(), "certificate": ""}
    found = by_dtvn(vector)
    assert found["refused"] in ("malformed", "wrong_file")
    assert [by_one_file(vector), *by_browser([vector])] == [found] * 2


def test_r44_every_verifier_accepts_the_file_that_parties_of_a_raft_cluster_sealed(tmp_path: Path) -> None:
    """Three of the five prove, as the mode in the file says."""
    names = ("auditor", "promoter", "seller", "usher", "venue")
    ports = {name: 41001 + at for at, name in enumerate(names)}
    parties = found(tmp_path, ports, more=("--consensus", "raft"))
    sealed = parties[0].folder.genesis.read_bytes()
    genesis = ceremony.open_genesis(sealed)
    given = [
        {"chain": base64.b64encode(chain).decode(), "certificate": base64.b64encode(certificate).decode()}
        for certificate in (certificate_by(parties[:many], g.cluster_id(genesis)) for many in (3, 2, 4))
        for chain in (sealed, g.encode(genesis))
    ]
    said = [by_dtvn(vector) for vector in given]
    assert said[0] == said[1]
    assert said[0]["signers"] == ["auditor", "promoter", "seller"]
    assert said[0]["liars"] == "crash-only: a lying member is not tolerated"
    assert [each["refused"] for each in said[2:]] == ["signature_count"] * 4
    assert [by_one_file(vector) for vector in given] == said
    assert by_browser(given) == said
