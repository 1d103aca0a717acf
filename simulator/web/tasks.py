"""The Celery task that plays a run."""

from __future__ import annotations

from validators.data_folder.celery import app, send_task
from validators.services.platform import SIMULATIONS, own_queue

NAME = "simulator.web.tasks.run_simulation"


@app.task(name=NAME)  # type: ignore[untyped-decorator]
def run_simulation(run_id: int) -> str:
    """Play a run in this worker slot until it ends or is asked to stop."""
    from simulator.web.playing import play  # the simulator, which neither workers nor the web process use

    return play(run_id)


def send(run_id: int) -> None:
    """Ask a worker to play a run; raise OperationalError if the broker does not take the request."""
    send_task(NAME, (run_id,), queue=own_queue(SIMULATIONS))
