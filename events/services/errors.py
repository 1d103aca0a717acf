"""Exceptions of judging: a message for users and a stable code for programs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

from dtvn.api.errors import ApiError, InvalidRequest, Unavailable
from dtvn.events.balancing import TooManyStreams
from dtvn.events.judging import AlgorithmNotOffered
from dtvn.gateway import GatewayClosed, Overloaded, RunEnded, RunIsLive
from dtvn.machine import reasons

RUN_NOT_FOUND = "run_not_found"
RUN_ENDED = "run_ended"
RUN_IS_LIVE = "run_is_live"
RUN_BUSY = "run_busy"
NO_VERDICT = "no_verdict"
TOO_MANY_RUNS = "too_many_runs"


def not_found(run_id: int) -> ApiError:
    return ApiError(404, RUN_NOT_FOUND, f"There is no run {run_id}.")


def ended(run_id: int) -> ApiError:
    return ApiError(409, RUN_ENDED, f"Run {run_id} has ended, or another process of the platform writes it.")


@contextmanager
def judging() -> Iterator[None]:
    """Turns what a gateway raises into what callers are told."""
    try:
        yield
    except AlgorithmNotOffered as error:
        raise ApiError(422, error.code, str(error)) from error
    except RunIsLive as error:
        raise ApiError(409, RUN_IS_LIVE, "A run of this thread and name is being written.") from error
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
