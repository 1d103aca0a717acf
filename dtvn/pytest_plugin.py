"""pytest plugin, which is found once `dtvn` is installed: `assert_valid_run(events)`, as a function and as a
fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dtvn.events import Profile, Result


def assert_valid_run(
    events: Iterable[object] | str | bytes,
    *,
    max_warnings: int | None = None,
    profile: Profile | str = "default",
    off: str | Iterable[str] = (),
    only: str | Iterable[str] = (),
    accept_0x: bool = False,
    run_input: object = None,
) -> Result:
    """Fail unless the events are valid AG-UI and hold at least one run, and all that began has ended.

    The failure shows what `dtvn validate --complete` prints. `max_warnings`: fail if there are more; None:
    warnings never fail. The other arguments are those of `dtvn.events.validate`. Returns the result, whose
    `warnings` may be looked at.
    """
    __tracebackhide__ = True
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


@pytest.fixture(name="assert_valid_run")
def _assert_valid_run() -> Callable[..., Result]:
    """The function of the same name, without an import."""
    return assert_valid_run
