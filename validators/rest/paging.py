"""Pages of database rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

from dtvn.api.answers import Answer, bare
from dtvn.api.calls import Call
from dtvn.api.queries import next_link


def page(call: Call, rows: QuerySet[Any], limit: int, shown: Callable[[Any], Any], total: int) -> Answer:
    """The first `limit` rows as `shown`, with a link to the next ones. `total`: rows on all pages."""
    found = list(rows[: limit + 1])
    headers = {"X-Total-Count": str(total)}
    if len(found) > limit:
        found.pop()
        headers["Link"] = next_link(call.path, call.pairs, str(found[-1].pk))
    return bare({"success": True, "data": [shown(row) for row in found]}, headers=headers)
