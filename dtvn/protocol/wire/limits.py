"""Size limits of the door, checked before anything is decoded (P15)."""

from __future__ import annotations

FRAME_BYTES_MAX = 10 * 1024 * 1024
"""Largest frame, as in the Go DTVN's wire contract."""

SMALL_FRAME_BYTES_MAX = 64 * 1024
"""Largest vote, fetch or status; honest ones are smaller than a kilobyte."""

BUNDLE_FRAME_BYTES_MAX = 1024 * 1024
"""Largest client request: 512 KiB of operations and their framing."""

JUDGE_FRAME_BYTES_MAX = 2 * 1024 * 1024 + 1024
"""Largest questions about agent events (dtvn.events.asking) and their framing."""

UNIT_BYTES = 1024
"""Bytes of a frame that cost as much as recognising a signature, wanted or not: decoding, hashing and
checking take 1 to 15 ns a byte."""

STATEMENTS_MAX = 65_536
"""Upper limit of statements inside one message: a VIEW-CHANGE of 31 members over a window of 2,048 sequences.
Each door gets the limit of its own cluster, which is far lower (checking a faulty member's valid signature
costs as much as checking an honest one)."""

VERIFIED_CACHE_MAX = 16_384
"""Most valid signatures remembered, 32 bytes each: one nested in several messages is checked once (R5)."""
