"""What ends a world early: a checker, or somebody who waits for it."""

from __future__ import annotations

__all__ = ["Interrupted", "Violation"]


class Violation(Exception):
    """A promise was broken; `checker` names which."""

    def __init__(self, checker: str, text: str) -> None:
        super().__init__(f"{checker}: {text}")
        self.checker = checker


class Interrupted(BaseException):
    """Somebody wants the end now, from a signal handler: no checker's word and no host's mishap, so that
    nobody on the way takes it for one. `found` is what came of the seed that was being played."""

    def __init__(self, found: object = None) -> None:
        super().__init__()
        self.found = found
