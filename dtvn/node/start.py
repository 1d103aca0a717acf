"""Prepares a node from its settings: folder, key and genesis, and the options to run it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from dtvn.node.kept_ports import kept_api, kept_port
from dtvn.node.layout import NodeFolder
from dtvn.node.options import ApiOptions, MetricsOptions, NodeOptions, UsageError, load_genesis
from dtvn.node.own_folder import prepare
from dtvn.node.settings import Settings
from dtvn.overlay.overlay import Role
from dtvn.overlay.overlay import Settings as Overlay

METRICS_PORT = 9090
"""The default of the Go DTVN; with development keys nodeK has METRICS_PORT + K, like its other ports."""

API_PORT = 8080
"""The default of the Go DTVN; with development keys nodeK has API_PORT + K."""
ANYWHERE = "0.0.0.0"  # noqa: S104 - the default of the Go DTVN, for a network of several parties
LOOPBACK = "127.0.0.1"
STATIC_PLACES = ("web/static", "../../web/static", "../web/static", "./web/static")


def get_ready(
    settings: Settings,
    environment: Mapping[str, str],
    tell: Callable[[str], None],
    warn: Callable[[str], None],
) -> tuple[NodeFolder, NodeOptions]:
    """Prepare the node's folder; return it with the node's options. Raise UsageError or StartError."""
    platform_url = environment.get("DATABASE_URL", "")
    own_url = _own_url(settings, platform_url)
    folder, base = prepare(settings, environment.get("DTVN_KEY_SEED", ""), tell, warn)
    if settings["consensus.is_primary"] and base.index:
        source = settings.source("consensus.is_primary")
        warn(f"{source}: the view decides who is primary, and view 0 is led by the first member")
    api = _api(settings, folder, base)
    if api is not None and not api.key and api.host != LOOPBACK:
        warn(
            f"WARNING: the API on {api.host} asks for no key (-api-key): anyone who reaches it may use "
            "tickets."
        )
    return folder, msgspec.structs.replace(
        base,
        own_url=own_url,
        platform_url=platform_url,
        ledger_folder=Path(settings["storage.path"]) if settings["storage.path"] else None,
        ledger_patience=settings["storage.timeout"],
        remembered_max=settings["gossip.cache_size"],
        overlay=overlay_settings(settings, "book" if base.is_book else "member"),
        status_idle=settings["gossip.anti_entropy_interval"] or 0,
        metrics=_metrics(settings, folder, base),
        api=api,
    )


def overlay_settings(settings: Settings, role: Role) -> Overlay:
    """The overlay's part of the settings gossip.*."""
    interval = settings["gossip.anti_entropy_interval"]
    return Overlay(
        role,
        fanout=settings["gossip.fanout"],
        ttl=settings["gossip.ttl"],
        cache_size=settings["gossip.cache_size"],
        anti_entropy_interval=interval or Overlay(role).anti_entropy_interval,
    )


def _own_url(settings: Settings, platform_url: str) -> str:
    """The server that this node's settings name for its ledger, "" for a file. `DATABASE_URL` is the
    platform's; it counts only if the type says postgresql. Raise UsageError for a contradiction."""
    url: str = settings["storage.url"]
    if settings["storage.type"] == "postgresql":
        if not (url or platform_url):
            raise UsageError(
                f"{settings.source('storage.type')}: storage.type: postgresql needs DTVN_STORAGE_URL"
            )
        return url or platform_url
    if url and settings.source("storage.type").startswith("DTVN_"):
        raise UsageError("DTVN_STORAGE_TYPE and DTVN_STORAGE_URL contradict each other")
    return url


def _api(settings: Settings, folder: NodeFolder, base: NodeOptions) -> ApiOptions | None:
    """The API options: given values, else those stored for this node, else defaults; None if disabled."""
    kept = kept_api(folder, settings["api.key"])
    port = settings["api.port"]
    if port == 0:
        return None
    number = base.index if settings["node.dev_keys"] else 0
    demo = settings["node.dev_keys"] or load_genesis(folder.genesis).demo
    address = settings["api.address"] or settings["network.listen_address"]
    return ApiOptions(
        port=port or (kept.port if kept is not None else API_PORT + number),
        host=address or (LOOPBACK if demo else ANYWHERE),
        key=settings["api.key"] or (kept.key if kept is not None else ""),
        cors=settings["api.enable_cors"],
        closed=kept is not None and kept.closed,
        static=_static(settings),
        needed=True,
    )


def _static(settings: Settings) -> str:
    """The folder of a page: as given, else where the Go DTVN looks for it; "" if there is no page."""
    told = settings["api.static_dir"]
    if told and not (Path(told) / "index.html").is_file():
        raise UsageError(f"{settings.source('api.static_dir')}: there is no index.html in {told}")
    places = [told] if told else [place for place in STATIC_PLACES if (Path(place) / "index.html").is_file()]
    return str(Path(places[0]).absolute()) if places else ""


def _metrics(settings: Settings, folder: NodeFolder, base: NodeOptions) -> MetricsOptions | None:
    """The metrics options: the given port, else the stored one, else the default; None if disabled."""
    port = settings["metrics.port"]
    if not settings["metrics.enabled"] or port == 0:
        return None
    host = settings["metrics.address"]
    if port is not None:
        return MetricsOptions(port=port, host=host, needed=True)
    kept = kept_port(folder, "metrics")
    number = base.index if settings["node.dev_keys"] else 0
    return MetricsOptions(port=kept or METRICS_PORT + number, host=host)
