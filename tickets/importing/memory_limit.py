"""Bounds the memory in which a file is read: a small file may describe much, in the parsers of others too."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tickets.importing.record import FileRefused

READ_IN = 1536 * 1024 * 1024
"""Bytes, beside what the process has already: 100,000 tickets take 190 MB."""


@contextmanager
def memory_limit(more: int = READ_IN) -> Iterator[None]:
    """A block in which this process may take `more` bytes; raises FileRefused when it would take others. For
    the process of a worker's slot, which does nothing else meanwhile."""
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = _size() + more
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    except MemoryError:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))
        mib = more // 2**20
        raise FileRefused(
            f"The file takes more than {mib:,} MiB of memory to read: split it, or save it as CSV."
        ) from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


def _size() -> int:
    """Bytes of address space that this process has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
