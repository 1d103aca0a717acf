"""Versions of the protocol, as RUN_STARTED declares them: MAJOR.MINOR, compared number by number."""

from __future__ import annotations

import re

KNOWN = (1, 1)
"""The newest version whose rules and fields are known here."""
_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})")


def version_of(declared: str) -> tuple[int, int] | None:
    """The numbers of a version; None for a text that is none."""
    found = _VERSION.fullmatch(declared)
    return None if found is None else (int(found[1]), int(found[2]))


def is_newer(declared: str) -> bool:
    """Whether a version is newer than what is known here; one that cannot be read counts as newer."""
    found = version_of(declared)
    return found is None or found > KNOWN
