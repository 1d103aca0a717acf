"""The epoch chain as this platform knows it: genesis, and the epoch change proof of every epoch that ended
(R16, R27).

It has two sources, each verified link by link: the epoch change proofs that members sent to the gateway,
and those in the learner's own log, which exists even if all members are gone.
"""

from __future__ import annotations

import logging
from functools import lru_cache

from dtvn.proof import Chain, ChainFile, ProofError, chain_json, chain_of_genesis, extend_chain, read_chain
from dtvn.proof.epoch_chain import epoch_change_certificate
from dtvn.protocol import canonical, genesis
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.services.network import gateway

logger = logging.getLogger(__name__)


def epoch_chain() -> bytes:
    """The epoch chain's file."""
    network = gateway()
    founded = chain_of_genesis(genesis.encode(network.genesis))
    certificates = _verified(founded.genesis, _known(genesis.cluster_id(network.genesis)))[1]
    return chain_json(canonical.encode(ChainFile(founded.version, founded.genesis, certificates)))


def known_chain() -> Chain:
    """The same chain, verified; cached."""
    network = gateway()
    return _verified(genesis.encode(network.genesis), _known(genesis.cluster_id(network.genesis)))[0]


def _known(cluster: bytes) -> tuple[bytes, ...]:
    shown = gateway().epoch_changes
    kept = read.epoch_changes(LEARNER_ALIAS, after=len(shown))
    found = list(shown)
    for each in kept:
        try:
            found.append(epoch_change_certificate(each, cluster))
        except ProofError:
            break  # ended, but its end is not stable yet
    return tuple(found)


@lru_cache(maxsize=8)
def _verified(founded: bytes, certificates: tuple[bytes, ...]) -> tuple[Chain, tuple[bytes, ...]]:
    """The chain, and the leading `certificates` that it consists of: up to the first one that does not
    verify."""
    chain = read_chain(founded)
    for number, certificate in enumerate(certificates):
        try:
            chain = extend_chain(chain, certificate)
        except ProofError as error:
            logger.error("the platform's proof of how epoch %s ended does not hold: %s", number, error)
            return chain, certificates[:number]
    return chain, certificates
