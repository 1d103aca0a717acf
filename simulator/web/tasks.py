"""The Celery task that plays a run."""

from __future__ import annotations

from typing import cast

from dtvn_project.celery import app
from simulator.web.playing import play

QUEUE = "simulations"


@app.task(name="simulator.web.tasks.run_simulation")  # type: ignore[untyped-decorator]
def run_simulation(run_id: int) -> str:
    """Play a run in this worker slot until it ends or is asked to stop."""
    return play(run_id)


def send(run_id: int) -> None:
    """Ask a worker to play a run; raise OSError or OperationalError if none can be reached."""
    cast("object", run_simulation.apply_async((run_id,), queue=QUEUE, retry=False))
