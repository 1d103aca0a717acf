"""Celery tasks. Two of them *are* long-running processes: a validator and the learner each hold a worker
slot."""

from django.conf import settings

from dtvn.node.garbage import BetweenTurns
from dtvn.node.run import run_learner, run_node
from validators.data_folder.celery import app
from validators.data_folder.folder import DataFolder
from validators.ledger import find_ledger, open_ledger
from validators.processes.node_task import occupy_slot
from validators.processes.task_names import FOLLOW_CLUSTER, RUN_VALIDATOR


@app.task(name=RUN_VALIDATOR)
def run_validator(node_id: str, start_token: str) -> str:
    """Run a validator's main loop in this worker slot until it is told to stop."""
    directory = DataFolder(settings.DATA).nodes / node_id
    return occupy_slot(
        node_id,
        start_token,
        lambda should_stop, beat: run_node(
            directory,
            should_stop,
            beat,
            open_ledger=open_ledger,
            find_ledger=find_ledger,
            garbage=BetweenTurns(),
        ),
    )


@app.task(name=FOLLOW_CLUSTER)
def follow_cluster(node_id: str, start_token: str) -> str:
    """Run the learner, which keeps this platform's verified copy of the log (R28)."""
    return occupy_slot(
        node_id,
        start_token,
        lambda should_stop, beat: run_learner(
            settings.DATA, should_stop, beat, open_ledger=open_ledger, garbage=BetweenTurns()
        ),
    )
