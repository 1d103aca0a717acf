"""pytest plugin, which is found once `dtvn` is installed: `assert_valid_run(events)`, as a function and as a
fixture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

import pytest

if TYPE_CHECKING:
    from dtvn.events import Profile, Result


@overload
def assert_valid_run(
    events: Iterable[object] | str | bytes,
    *,
    max_warnings: int | None = ...,
    profile: Profile | str = ...,
    off: str | Iterable[str] = ...,
    only: str | Iterable[str] = ...,
    accept_0x: bool = ...,
    run_input: object = ...,
) -> Result: ...


@overload
def assert_valid_run(
    events: AsyncIterable[object],
    *,
    max_warnings: int | None = ...,
    profile: Profile | str = ...,
    off: str | Iterable[str] = ...,
    only: str | Iterable[str] = ...,
    accept_0x: bool = ...,
    run_input: object = ...,
) -> Any: ...


def assert_valid_run(
    events: Iterable[object] | AsyncIterable[object] | str | bytes,
    *,
    max_warnings: int | None = None,
    profile: Profile | str = "default",
    off: str | Iterable[str] = (),
    only: str | Iterable[str] = (),
    accept_0x: bool = False,
    run_input: object = None,
) -> Any:
    """Fail unless the events are valid AG-UI and hold at least one run, and all that began has ended.

    The failure shows what `dtvn validate --complete` prints. `max_warnings`: fail if there are more; None:
    warnings never fail. The other arguments are those of `dtvn.events.validate`. Returns the result, whose
    `warnings` may be looked at; of events that come asynchronously, such as those of an async generator, to
    be awaited where an event loop runs.
    """
    __tracebackhide__ = True
    if isinstance(events, AsyncIterable):
        given: dict[str, Any] = {"profile": profile, "off": off, "only": only, "accept_0x": accept_0x}
        given["run_input"] = run_input
        coming = _collected(events, max_warnings=max_warnings, **given)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(coming)
        return coming
    # pytest imports this module in every project of the environment; the rules only where they are used.
    from dtvn.events.report import as_text
    from dtvn.events.validation import configured, report_of

    config = configured(profile, off, only, accept_0x=accept_0x)
    report = report_of(events, config, run_input, complete=True)
    result = report.result()
    if not result.valid:
        raise AssertionError(as_text(report, "events").rstrip())
    warnings = len(result.warnings)
    if max_warnings is not None and warnings > max_warnings:
        raise AssertionError(f"{as_text(report, 'events')}\nMore than {max_warnings} warnings: {warnings}.")
    return result


async def _collected(events: AsyncIterable[object], **options: Any) -> Result:
    __tracebackhide__ = True
    found: Result = assert_valid_run([each async for each in events], **options)
    return found


@pytest.fixture(name="assert_valid_run")
def _assert_valid_run() -> Callable[..., Result]:
    """The function of the same name, without an import."""
    return assert_valid_run
