"""Wall clocks of single processes that a test sets while they run; monotonic time stays true.

The product has no such switch: processes that a test starts with `environment()` import a `sitecustomize`
from the test's own folder, which replaces `time.time` and `time.time_ns` of that process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PLATFORM = "platform"
"""All processes of a platform besides its nodes: web, workers, learner."""

CUSTOM = '''
import os, re, sys, time

FOLDER = {folder!r}
LOOK = 20_000_000  # monotonic nanoseconds between two looks at the file
true_ns, monotonic_ns = time.time_ns, time.monotonic_ns
offset, looked = 0, -LOOK


def owner():
    """The node that this process runs; a worker of the platform has its name in its title."""
    titles = sys.modules.get("setproctitle")
    title = getattr(titles, "getproctitle", str)()
    found = re.match(r"dtvn validator (\\S+)", title) or re.search(r"-id (\\S+)", " ".join(sys.orig_argv))
    return found[1] if found else {platform!r}


def time_ns():
    global offset, looked
    now = monotonic_ns()
    if now - looked >= LOOK:
        looked = now
        try:
            with open(os.path.join(FOLDER, owner()), encoding="ascii") as file:
                offset = int(file.read())
        except FileNotFoundError:
            offset = 0
    return true_ns() + offset


time.time_ns = time_ns
time.time = lambda: time_ns() / 1e9
'''


class Clocks:
    """The clocks of a network's processes, all right at first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "import").mkdir(parents=True)
        text = CUSTOM.format(folder=str(folder), platform=PLATFORM)
        (folder / "import" / "sitecustomize.py").write_text(text, encoding="utf-8")

    def environment(self) -> Mapping[str, str]:
        """Environment of processes whose clocks can be set."""
        return {"PYTHONPATH": str(self._folder / "import")}

    def set(self, *names: str, ahead: float) -> None:
        """From now on the clocks of these nodes (or PLATFORM) are so many seconds ahead of the true time."""
        for name in names:
            written = self._folder / f"{name}.new"
            written.write_text(str(int(ahead * 1_000_000_000)), encoding="ascii")
            os.replace(written, self._folder / name)
