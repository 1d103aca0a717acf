"""Which release each member says that it runs, and whom the cluster's next version waits for (R47). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from dtvn.gateway.face import MemberView
from dtvn.protocol import versions

BEFORE = f"{versions.release(versions.FIRST)} or unknown"
"""Of a member that answers and names no release: 0.1.0 did not."""
NO_ANSWER = "no answer"
_RELEASE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,31}")


class MemberRelease(msgspec.Struct, frozen=True):
    """A member's program, as it describes itself."""

    id: str
    release: str
    """0.2.0, say; BEFORE or NO_ANSWER."""
    newest: int
    """The newest version of the cluster that it runs; 0: it did not answer."""


def releases_of(views: Sequence[MemberView]) -> tuple[MemberRelease, ...]:
    """By seat, from the members' newest status answers: no member is queried."""
    return tuple(
        MemberRelease(view.id, *_told(view.status))
        if view.connected and view.heard is not None
        else MemberRelease(view.id, NO_ANSWER, 0)
        for view in views
    )


def waits_sentence(version: int, releases: Sequence[MemberRelease]) -> str:
    """`Version 2 waits for seller (0.1.0).`: which members do not run the version after `version`, the
    cluster's. "" if all do, or if this program does not run it either."""
    wanted = version + 1
    runs = {
        each.id: versions.release(versions.FIRST) if each.release == BEFORE else each.release
        for each in releases
        if each.newest < wanted
    }
    return f"{versions.waiting(wanted, runs)}." if runs and wanted <= versions.NEWEST else ""


def _told(status: dict[str, Any]) -> tuple[str, int]:
    release, newest = status.get("release"), status.get("newest")
    known = isinstance(release, str) and _RELEASE.fullmatch(release) is not None
    runs = newest if type(newest) is int and newest >= versions.FIRST else versions.FIRST
    return str(release) if known else BEFORE, runs
