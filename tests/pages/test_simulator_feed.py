"""`/ws` tells a simulation frame by frame, in order, to all who watch; the late learn where it stands."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from simulator.web import services
from simulator.web.models import RunStatus, SimulatorRun
from simulator.web.start_request import StartRequest
from tests.pages.test_consumer import open_socket  # noqa: F401 - the fixture

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
]


@sync_to_async
def begin() -> SimulatorRun:
    return services.start(StartRequest(), lambda _run: None)


@sync_to_async
def go_on(run: SimulatorRun) -> None:
    services.tell(run, "simulator_output", "a line")
    services.tell(run, "simulator_progress", {"current_ticket": 10})


@sync_to_async
def end(run: SimulatorRun) -> bool:
    return services.finish(run, RunStatus.COMPLETE, results={"total_tickets": 10})


async def test_x37_every_watcher_gets_every_frame_in_order(open_socket: Any) -> None:  # noqa: F811
    first, second = await open_socket(), await open_socket()
    for socket in (first, second):
        assert (await socket.receive())["simulator_status"] == "idle"
    run = await begin()
    await go_on(run)
    for socket in (first, second):
        assert await socket.until("simulator_status") == {"type": "simulator_status", "status": "running"}
        assert await socket.receive() == {"type": "simulator_output", "line": "a line"}
        assert await socket.receive() == {"type": "simulator_progress", "progress": {"current_ticket": 10}}
    late = await open_socket()
    assert (await late.receive())["simulator_status"] == "running"
    assert await end(run)
    assert not await end(run), "once"
    for socket in (first, second, late):
        assert await socket.until("simulator_output") == {
            "type": "simulator_output",
            "line": "Simulation completed",
        }
        assert await socket.receive() == {"type": "simulator_results", "results": {"total_tickets": 10}}
        assert await socket.receive() == {"type": "simulator_status", "status": "complete"}


async def test_output_sent_without_a_watcher_is_not_sent_again(open_socket: Any) -> None:  # noqa: F811
    run = await begin()
    await go_on(run)
    socket = await open_socket()
    assert (await socket.receive())["simulator_status"] == "running"
    assert await end(run)
    frame = await socket.receive()
    while not frame["type"].startswith("simulator_"):
        frame = await socket.receive()
    assert frame == {"type": "simulator_output", "line": "Simulation completed"}
