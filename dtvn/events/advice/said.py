"""What advice says of an event."""

from __future__ import annotations

from collections.abc import Iterable

Said = Iterable[tuple[str, str | None, str]]
"""Rule id, field, sentence."""
