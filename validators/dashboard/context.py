"""Values that templates of pages and admin may use."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from validators.services.cluster_state import cluster_state


def state_of_cluster(request: HttpRequest) -> dict[str, Any]:
    """`cluster_state`, which a template calls when it shows it; see services.cluster_state."""
    return {"cluster_state": cluster_state}
