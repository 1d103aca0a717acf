"""Which release each member says that it runs, and whom the cluster's next version waits for (R47). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from dtvn.protocol import versions
from dtvn.watch import MemberReport

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


def releases_of(reports: Sequence[MemberReport]) -> tuple[MemberRelease, ...]:
    """By seat, from the members' newest status answers: no member is queried."""
    return tuple(
        MemberRelease(each.id, *_told(each))
        if each.connected and each.heard is not None
        else MemberRelease(each.id, NO_ANSWER, 0)
        for each in reports
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


def _told(report: MemberReport) -> tuple[str, int]:
    known = _RELEASE.fullmatch(report.release) is not None
    return report.release if known else BEFORE, max(report.newest, versions.FIRST)
