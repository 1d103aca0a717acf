"""The cuts of the last day as rows, so that the history outlives a web process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from validators.models import NetworkCut
from validators.network_watch.cuts import Cut

SETTLED = 300.0
"""Seconds within which a cut grows in its row, and for which a smaller form must last until it has a row of
its own: links do not break, nor come back, all in one moment, and of a process that hangs now one pair is
seen and now all."""
PAIRS_MAX = 1 << 30
"""More pairs than there are."""
SEEN_EVERY = 10.0
"""Seconds between two notes that a cut lasts."""
KEPT_FOR = timedelta(days=1)
KEPT_LEAST = 100
KEPT_MOST = 1_000
"""Rows: those of the last day, and in any case the newest hundred; never more than a thousand."""
WARM_UP = 30.0
"""Seconds after the first look until a cut of an earlier process counts as over: to suspect takes time."""


class History:
    """Writes what one look after the other shows; one process of a platform does. Raises DatabaseError: the
    next look tries again."""

    def __init__(self) -> None:
        self._row: NetworkCut | None = None
        """The cut that lasts."""
        self._formed = 0.0
        """When that took its form, as this process saw it, Unix seconds."""
        self._extent = (0, 0)
        """Of that, as this process saw it."""
        self._smaller: tuple[float, float] | None = None
        """When its largest form was last seen, and when first a smaller one, if it has that now."""
        self._seen = 0.0
        """When it was last seen."""
        self._began: float | None = None
        """Time of the first look; None before it."""

    def note(self, cut: Cut | None, at: float) -> None:
        """Take a look, at `at` in Unix seconds."""
        if self._began is None:
            self._take_up(at)
            self._began = self._formed = at
        if cut is not None:
            if self._row is None:
                self._begin(cut, at)
            else:
                self._go_on(self._row, cut, at)
            self._seen = at
        elif self._row is not None and at - (self._began or at) >= WARM_UP:
            self._end(self._seen, at)

    def _take_up(self, at: float) -> None:
        """Go on with the cut that an earlier process saw: how many pairs its form had is not kept."""
        self._row = row = NetworkCut.objects.filter(ended_at=None).first()
        if row is not None:
            self._extent = len(row.groups), PAIRS_MAX
            self._seen = row.seen_at.timestamp()

    def _go_on(self, row: NetworkCut, cut: Cut, at: float) -> None:
        """Its row has the largest form; the times in it tell which form that is."""
        if str(row) == cut.what:
            self._extent, self._smaller = cut.extent, None
            if _is_refuted(row, cut):
                self._write(row, cut, at)
        elif cut.extent > self._extent:
            if at - self._formed >= SETTLED:
                self._end(self._seen, at)
                self._begin(cut, at)
            else:
                self._write(row, cut, at)
            return
        elif self._smaller is None:
            self._smaller = self._seen, at
        elif at - self._smaller[1] >= SETTLED:
            self._end(*self._smaller)
            self._begin(cut, at)
            return
        self._last(row, cut, at)

    def _begin(self, cut: Cut, at: float) -> None:
        self._row = NetworkCut(started_at=moment(cut.since))
        self._write(self._row, cut, at)
        prune()

    def _write(self, row: NetworkCut, cut: Cut, at: float) -> None:
        began = row.started_at
        fill(row, cut, at)
        row.started_at = min(began, row.started_at)
        row.save()
        self._extent, self._formed, self._smaller = cut.extent, at, None

    def _last(self, row: NetworkCut, cut: Cut, at: float) -> None:
        if row.present != present(cut) or (moment(at) - row.seen_at).total_seconds() >= SEEN_EVERY:
            row.seen_at, row.present, row.certain = moment(at), present(cut), cut.certain
            row.save(update_fields=["seen_at", "present", "certain"])

    def _end(self, seen: float, at: float) -> None:
        """It was last seen at `seen`, and is over at `at`."""
        row = self._row
        if row is not None:
            row.seen_at, row.ended_at, row.present = moment(seen), moment(at), ""
            row.save(update_fields=["seen_at", "ended_at", "present"])
        self._row, self._smaller = None, None


def _is_refuted(row: NetworkCut, cut: Cut) -> bool:
    """Whether fewer could decide than the row says of the same form: some were seen to hang later."""
    return not cut.decides and len(cut.may_decide) < len(row.decides or row.may_decide)


def present(cut: Cut) -> str:
    """What the sentence of state says of a cut."""
    return cut.known if cut.certain or cut.heard else ""


def fill(row: NetworkCut, cut: Cut, at: float) -> None:
    """Give an unsaved row the cut that was seen at `at`, Unix seconds."""
    row.started_at = moment(cut.since)
    row.seen_at = moment(at)
    row.statements = msgspec.to_builtins(cut.statements)
    row.groups = [list(group) for group in cut.groups]
    row.decides, row.consequence, row.certain = list(cut.decides), cut.consequence, cut.certain
    row.may_decide = list(cut.may_decide)
    row.severity, row.present = cut.severity, present(cut)


def prune() -> None:
    """Delete the rows that are kept no longer."""
    newest = list(NetworkCut.objects.values_list("pk", "started_at")[: KEPT_MOST + 1])
    day = datetime.now(UTC) - KEPT_FOR
    kept = [pk for place, (pk, at) in enumerate(newest[:KEPT_MOST]) if place < KEPT_LEAST or at >= day]
    NetworkCut.objects.filter(pk__lt=min(kept, default=0)).delete()


def rows() -> list[NetworkCut]:
    """All that are kept, newest first."""
    return list(NetworkCut.objects.all()[:KEPT_MOST])


def moment(seconds: float) -> datetime:
    """Unix seconds as a moment."""
    return datetime.fromtimestamp(seconds, UTC)
