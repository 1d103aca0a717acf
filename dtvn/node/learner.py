"""Composition root of the learner: a replica that does not vote, whose rows the platform reads (R28)."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dtvn.ledger import Location, OpenLedger
from dtvn.net import read_seed
from dtvn.node.carried import Carried
from dtvn.node.continuing import begin
from dtvn.node.epochs import membership_of
from dtvn.node.feed_publisher import publish
from dtvn.node.journal import NodeJournal
from dtvn.node.layout import ClusterFolder
from dtvn.node.learning import LearningProcess
from dtvn.node.options import load_genesis
from dtvn.node.watcher import line
from dtvn.protocol import genesis as g

LEARNER_SCHEMA = "learner"
"""The learner's schema on PostgreSQL, and its name in messages and lists."""


class LearnerProcess(LearningProcess):
    """All objects of the learner's process."""

    searched = archive = True

    def introduce(self) -> None:
        """Log the learner's cluster and sequence once it runs."""
        fields = {
            "cluster": self.cluster.hex()[:16],
            "sequence": self.executed,
            "ledger": self.ledger.location.name,
        }
        self.logger.info("%s", line("following", fields))

    def brief(self) -> dict[str, Any]:
        """The heartbeat's status."""
        return self._brief(LEARNER_SCHEMA, "following")

    def publish(self) -> None:
        """Does nothing: the platform shows the learner's metrics (validators.rest.metrics)."""


def build_learner(
    data_dir: Path,
    logger: logging.Logger,
    database_url: str,
    open_ledger: OpenLedger,
    carried: Carried | None = None,
) -> LearnerProcess:
    """Build the learner of the cluster in `data_dir`; `carried`: see `build_node`. Raises as `build_node`
    does."""
    folder = ClusterFolder(data_dir)
    genesis = load_genesis(folder.genesis)
    seed = read_seed(folder.learner_key)
    location = Location.choose(folder.learner, url=database_url, schema=LEARNER_SCHEMA)
    with ExitStack() as opened:
        if carried is not None:
            ledger = carried.ledger
        else:
            ledger = open_ledger(location, cluster_id=g.cluster_id(genesis), indexed=True)
            opened.callback(ledger.close)
            begin(ledger, genesis, folder.continued, member=False, searched=True)
        publisher = carried.publisher if carried is not None else None
        if publisher is None:
            publisher = publish(data_dir)
            opened.callback(publisher.close)
        process = LearnerProcess(
            genesis,
            membership_of(ledger, genesis),
            seed=seed,
            sources=folder.learner_sources,
            ledger=ledger,
            journal=NodeJournal(ledger, None, announce=publisher.announce),
            notice=ledger.notice,
            publisher=publisher,
            logger=logger,
            carried=carried,
        )
        opened.pop_all()
    return process
