"""Exceptions that end a world early: a broken promise, or an interrupt."""

from __future__ import annotations


class Violation(Exception):
    """A promise was broken; `checker` names which."""

    def __init__(self, checker: str, text: str) -> None:
        super().__init__(f"{checker}: {text}")
        self.checker = checker


class Interrupted(BaseException):
    """The user or the system ended the run, from a signal handler. It is not an Exception, so that no code on
    the way takes it for a checker's violation or a host's failure. `found` is the result of the seed that was
    being played."""

    def __init__(self, found: object = None) -> None:
        super().__init__()
        self.found = found
