"""Counts a program's syncs from outside: what it asked the kernel for, whatever it believes of itself.

strace where it may trace, else a small library loaded before the C library. Both write lines of one form,
`fdatasync(5</path/of/the/file>)`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

Counter = Callable[[Sequence[str], Path], list[Path]]
"""Runs a program, with a folder for files of its own; returns the files that it synced, in order. Raises
OSError."""

NO_COUNTER = (
    "Nothing here counts syncs: strace is missing or may not trace, and no C compiler makes the library "
    "that would count them instead. Install strace (apt-get install strace)."
)

ROOT = Path(__file__).resolve().parent.parent.parent
CALL = re.compile(r"\bf(?:data)?sync\(\d+<([^>]+)>")
SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void note(const char *call, int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    int log = open(getenv("SYNCS_LOG"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (length < 0 || log < 0) abort();
    path[length] = 0;
    dprintf(log, "%s(%d<%s>)\n", call, fd, path);
    close(log);
}
int fsync(int fd) { note("fsync", fd); return syscall(SYS_fsync, fd); }
int fdatasync(int fd) { note("fdatasync", fd); return syscall(SYS_fdatasync, fd); }
"""


def by_strace(program: Sequence[str], folder: Path) -> list[Path]:
    """See Counter."""
    log = folder / "strace.log"
    tracer = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-e", "trace=fsync,fdatasync", "-o", str(log)]
    run([*tracer, *program])
    return synced(log)


def by_library(program: Sequence[str], folder: Path) -> list[Path]:
    """See Counter."""
    source, library, log = folder / "syncs.c", folder / "syncs.so", folder / "library.log"
    source.write_text(SOURCE)
    run([shutil.which("cc") or "gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)])
    log.touch()
    run(program, LD_PRELOAD=str(library), SYNCS_LOG=str(log))
    return synced(log)


COUNTERS: dict[str, Counter] = {"strace": by_strace, "library": by_library}


def mark(path: Path) -> None:
    """In the program that is counted: a sync of this file, which stands among the others in its order."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.fsync(descriptor)
    os.close(descriptor)


def works(counter: Counter, folder: Path) -> bool:
    """Whether it sees the one sync of a program here."""
    probe = folder / "probe"
    code = f"import os; f = os.open({str(probe)!r}, os.O_WRONLY | os.O_CREAT, 0o600); os.fsync(f)"
    try:
        return counter([sys.executable, "-c", code], folder) == [probe]
    except OSError:
        return False


def run(program: Sequence[str], **more: str) -> None:
    """In a bare environment: no Django settings."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DJANGO", "DTVN"))}
    done = subprocess.run(program, cwd=ROOT, env=environment | more, capture_output=True, text=True)
    if done.returncode:
        raise ChildProcessError(f"{program[0]} ended with {done.returncode}: {done.stderr}")


def synced(log: Path) -> list[Path]:
    return [Path(path) for path in CALL.findall(log.read_text())]
