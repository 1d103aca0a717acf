"""Reads a node's own metrics on this host: the data of the pages' charts."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from contextlib import closing

from django.conf import settings
from prometheus_client.parser import text_string_to_metric_families

from dtvn.node.kept_ports import kept_metrics
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError
from validators.membership.roster import MemberNode

__all__ = ["read_figures", "sums"]

WAIT = 1.5
"""Seconds for one node's metrics."""
BYTES_MAX = 2 * 1024 * 1024


def read_figures(member: MemberNode, names: Mapping[str, str]) -> dict[str, float] | None:
    """`sums` of this member's metrics; None if it does not answer, or is not ours."""
    if member.managed is None:
        return None
    try:
        where = kept_metrics(ClusterFolder(settings.DATA).node(member.id))
        if where is None:
            return None
        with closing(http.client.HTTPConnection(where.host, where.port, timeout=WAIT)) as connection:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            text = answer.read(BYTES_MAX).decode("utf-8", "replace")
        return sums(text, names) if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException, StartError, ValueError):
        return None


def sums(text: str, names: Mapping[str, str]) -> dict[str, float]:
    """Samples of Prometheus text, summed over all labels, renamed as `names` says; 0 if there are none."""
    found = dict.fromkeys(names.values(), 0.0)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if (name := names.get(sample.name)) is not None:
                found[name] += sample.value
    return found
