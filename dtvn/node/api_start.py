"""Starts the helper that serves a node's own API, on the port stored for it or on a free one."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from dtvn.ledger import Location
from dtvn.node.api_channel import Setup
from dtvn.node.api_helper import ApiHelper
from dtvn.node.json_lines import is_json
from dtvn.node.kept_ports import kept_port, rewrite_ports
from dtvn.node.layout import NodeFolder
from dtvn.node.options import NodeOptions, StartError

API_SERVED = "api_served"
"""Key in the file of kept ports: this node's API has been served on its port before."""


def start_api(folder: NodeFolder, options: NodeOptions, logger: logging.Logger) -> ApiHelper | None:
    """The helper that serves this node's own API; raise StartError if its port is taken."""
    if options.api is None:
        return None
    place = options.ledger or Location(options.ledger_folder or folder.ledger)
    setup = Setup(
        node=folder.id,
        folder=str(folder.root),
        ledger_folder=str(place.folder),
        ledger_url=place.url,
        ledger_schema=place.schema,
        options=options.api,
        json_logs=is_json(logging.getLogger()),
    )
    if options.api.needed or kept_port(folder, API_SERVED) is not None:
        return ApiHelper(setup, logger)
    # The first start on a port that was free when it was chosen: another network may have taken it.
    try:
        api = ApiHelper(_with_api(setup, needed=True), logger)
    except StartError:
        api = ApiHelper(_with_api(setup, port=0), logger)
    if api.address is not None:
        rewrite_ports(folder, **{"api": api.address[1], API_SERVED: 1})
    return api


def _with_api(setup: Setup, **changes: Any) -> Setup:
    return msgspec.structs.replace(setup, options=msgspec.structs.replace(setup.options, **changes))
