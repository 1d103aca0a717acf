"""Exceptions of judging: a message for users and a stable code for programs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

from dtvn.api.errors import ApiError, InvalidRequest, Unavailable
from dtvn.api.event_findings import Denied
from dtvn.events.balancing import TooManyStreams
from dtvn.events.judging import REFUSED_BY_FEW, AlgorithmNotOffered
from dtvn.gateway import GatewayClosed, Overloaded, RunEnded, RunIsLive
from dtvn.machine import reasons
from events.models import RunStatus

RUN_NOT_FOUND = "run_not_found"
RUN_ENDED = "run_ended"
RUN_ELSEWHERE = "run_elsewhere"
RUN_IS_LIVE = "run_is_live"
RUN_BUSY = "run_busy"
NO_VERDICT = "no_verdict"
DENIED = "denied"
TOO_MANY_RUNS = "too_many_runs"


def not_found(run_id: int) -> ApiError:
    return ApiError(404, RUN_NOT_FOUND, f"There is no run {run_id}.")


def not_here(run_id: int, status: str) -> ApiError:
    """The error (409) for a run that this process does not write; `status`: that of its row."""
    if status == RunStatus.OPEN:
        text = (
            f"Another web process began run {run_id}. If it still runs, have the load balancer send each "
            "key to one process; otherwise begin another run."
        )
        return ApiError(409, RUN_ELSEWHERE, text)
    said = "has ended" if status == RunStatus.ENDED else "was lost with its web process: begin another one"
    return ApiError(409, RUN_ENDED, f"Run {run_id} {said}.")


def live_elsewhere() -> ApiError:
    text = "Another web process writes a run of this thread and name; it is lost 60 s after that process."
    return ApiError(409, RUN_IS_LIVE, text)


def no_verdict(code: str, text: str) -> ApiError:
    """The error (503) for events on which too few members voted; `code`, `text`: why. Nothing of them is
    kept: their caller has them judged again."""
    said = f"{text} ({code}) Nothing is owed: give these events again."
    return ApiError(503, NO_VERDICT, said)


def denied(decision: Denied, text: str) -> ApiError:
    """The error (422) for events that the members decided against without a certificate; `text`: why there is
    none. The same question would get the same votes."""
    what = "these events" if decision.code == REFUSED_BY_FEW else f"event {decision.index}"
    return ApiError(422, DENIED, f"The members do not find {what} valid: {decision.code}. {text}")


@contextmanager
def judging() -> Iterator[None]:
    """Turns exceptions of a gateway into ServiceErrors."""
    try:
        yield
    except AlgorithmNotOffered as error:
        raise ApiError(422, error.code, str(error)) from error
    except RunIsLive as error:
        said = str(error)
        text = f"{said[:1].upper()}{said[1:]}: end that one first, or give this one a runId of its own."
        raise ApiError(409, RUN_IS_LIVE, text) from error
    except RunEnded as error:
        raise ApiError(409, RUN_ENDED, "The run has ended.") from error
    except TooManyStreams as error:
        raise ApiError(429, TOO_MANY_RUNS, "Too many runs are open; end one, or try again later.") from error
    except Overloaded as error:
        text = "Too many events are being judged; try again later."
        raise Unavailable(text, reasons.BUSY) from error
    except (GatewayClosed, CancelledError, TimeoutError) as error:
        raise Unavailable from error
    except ValueError as error:
        raise InvalidRequest(str(error)) from error
