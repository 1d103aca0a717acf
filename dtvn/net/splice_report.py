"""What the process of a splice's listener tells its node, a JSON object a line."""

from __future__ import annotations

import msgspec


class SpliceReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the node is dialled now, or why it is not."""

    host: str = ""
    port: int = 0
    trouble: str = ""
    """A sentence; "": it is registered."""
