"""Stands in for what a process calls, and tells each call with all its arguments, in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.golden import Telling

SHORT = 32
"""Bytes that are told as they are; of more, that they are bytes."""


class Recorder(Telling):
    """A story of calls. `answers`: what a call returns, by its name, or an exception that it raises."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.answers: dict[str, Any] = {}

    def call(self, name: str, /, *arguments: Any, **named: Any) -> Any:
        """Tell a call, and answer it."""
        told = [self.shown(each) for each in arguments]
        told += [f"{key}={self.shown(value)}" for key, value in named.items()]
        self.say(f"  {name}({', '.join(told)})")
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        return answer(*arguments, **named) if callable(answer) else answer

    def function(self, name: str) -> Callable[..., Any]:
        """A function whose calls are told."""
        return partial(self.call, name)

    def thing(self, name: str) -> Any:
        """A module or an object all of whose functions are told."""
        return _Thing(self, name)

    def shown(self, value: Any) -> str:
        """A value as text that is the same in each run."""
        if isinstance(value, _Thing):
            return value.told
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(self.shown(each) for each in value)}]"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{key!r}: {self.shown(each)}' for key, each in value.items())}}}"
        if isinstance(value, bytes) and len(value) <= SHORT:
            return repr(value)
        if isinstance(value, (str, int, float, Path)) or value is None:
            return repr(str(value) if isinstance(value, Path) else value).replace(str(self.folder), "DATA")
        if isinstance(value, partial) and value.func == self.call:
            return str(value.args[0])
        if isinstance(value, partial):
            given = [self.shown(each) for each in value.args]
            given += [f"{key}={self.shown(each)}" for key, each in value.keywords.items()]
            return f"partial {self.shown(value.func)}({', '.join(given)})"
        return getattr(value, "__qualname__", type(value).__name__).rpartition("<locals>.")[2]


class _Thing:
    def __init__(self, recorder: Recorder, told: str) -> None:
        self.recorder, self.told = recorder, told

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.recorder.function(f"{self.told}.{name}")
