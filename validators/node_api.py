"""`python -m validators.node_api CHANNEL LISTENER`: a node's API over its ledger in Django's models.

Two inherited descriptors; started by `dtvn.node.api_helper`. It ends when its channel does; the kernel also
kills it with its node, in case it hangs.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from dtvn.api.helper.ledger import HelperLedger
from dtvn.api.helper.process import main
from dtvn.ledger import Location
from dtvn.node.parents_death import signal_at_parents_death
from validators.ledger.location import prepare_models


def open_reader(place: Location, founders: Sequence[str]) -> HelperLedger:
    """See OpenReader."""
    prepare_models()
    from validators.ledger.node_reader import NodeReader  # needs an initialised Django

    return NodeReader(place, founders)


if __name__ == "__main__":
    signal_at_parents_death(signal.SIGKILL)
    main(open_reader)
