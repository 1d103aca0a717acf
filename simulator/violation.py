"""What a checker raises."""

from __future__ import annotations

__all__ = ["Violation"]


class Violation(Exception):
    """A promise was broken; `checker` names which."""

    def __init__(self, checker: str, text: str) -> None:
        super().__init__(f"{checker}: {text}")
        self.checker = checker
