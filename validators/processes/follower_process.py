"""The follower as a child of `manage.py follow`: `python -m validators.processes.follower_process PARENT`."""

from __future__ import annotations

import os
import secrets
import sys

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtvn_project.settings")
    django.setup()

from dtvn.node.garbage import BetweenTurns
from dtvn.node.run import run_follower
from validators.data_folder import environment
from validators.ledger import open_ledger
from validators.models import DesiredState, ManagedNode, NodeStatus
from validators.processes import parent
from validators.processes.node_task import occupy_slot
from validators.services.nodes import LEARNER_ID

GRACE = 5.0
"""Seconds from the loss of our parent until this process exits by force."""


def main(parent_id: int) -> None:
    """Follow until told to stop; exit with 1 if that is not possible."""
    parent.follow(parent_id, grace=GRACE)
    token = secrets.token_hex(16)
    row = ManagedNode.objects.filter(node_id=LEARNER_ID)
    row.update(desired=DesiredState.RUNNING, start_token=token, status=NodeStatus.RUNNING, error="")
    ended = occupy_slot(
        LEARNER_ID,
        token,
        lambda should_stop, beat: run_follower(
            environment.data_folder(), should_stop, beat, open_ledger=open_ledger, garbage=BetweenTurns()
        ),
    )
    row.update(status=NodeStatus.STOPPED, error="" if ended == "stopped" else ended)
    if ended != "stopped":
        sys.exit(ended)


if __name__ == "__main__":
    main(int(sys.argv[1]))
