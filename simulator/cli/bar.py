"""Progress bar of a long campaign on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def bar(total: int, what: str, stream: TextIO | None = None) -> Iterator[Callable[[], None]]:
    """Yields a function to call once for each of `total`. It draws on standard error, and only if that is a
    terminal: standard output and files stay as they are. It draws when called and has no thread, since
    processes are forked meanwhile."""
    console = Console(file=stream or sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(
        *columns, console=console, auto_refresh=False, transient=True, disable=not console.is_terminal
    )
    with progress:
        task = progress.add_task(what, total=total)

        def advance() -> None:
            progress.advance(task)
            progress.refresh()

        yield advance
