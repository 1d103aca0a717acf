"""Sizes at the door, checked before anything is decoded (PITFALLS row 15)."""

from __future__ import annotations

FRAME_BYTES_MAX = 10 * 1024 * 1024
"""Largest frame, as in the seed's wire contract (spec/dtvn.md 8.2)."""

SMALL_FRAME_BYTES_MAX = 64 * 1024
"""Largest vote, fetch or status; an honest one stays under a kilobyte."""

BUNDLE_FRAME_BYTES_MAX = 1024 * 1024
"""Largest client request: 512 KiB of operations and their framing."""

STATEMENTS_MAX = 65_536
"""Statements inside one message at the very most: a VIEW-CHANGE of 31 members over a window of 2,048
sequences. A door is told the bound of its own cluster, which is far lower (a valid signature of a liar
costs as much as an honest one)."""

VERIFIED_CACHE_MAX = 16_384
"""Remembered valid frames, 32 bytes each: a signature nested in several messages costs once (R5)."""
