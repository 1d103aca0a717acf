"""Several followers without pages in one process: `python -m benchmarks.follower_group FOLDER...`.

Each is a FollowerProcess with its own key, ledger, sockets and thread, as `manage.py follow --no-pages` runs
one. Its newest heartbeat is in FOLDER/status.json.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import django
import msgspec

if not os.environ.get("DJANGO_SETTINGS_MODULE"):
    os.environ["DJANGO_SETTINGS_MODULE"] = "dtvn_project.settings"
    django.setup()

from dtvn.node.run import run_follower
from validators.ledger import open_ledger

STATUS = "status.json"
WARM = 15.0
"""Most seconds until the first follower has used whatever the others will use."""


def main(words: Sequence[str]) -> int:
    """Follow until SIGTERM; 0 if all ended in order."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    folders = [Path(word) for word in words]
    codes: dict[Path, int] = {}
    warm = threading.Event()

    def follow(folder: Path) -> None:
        opened = partial(open_ledger, alias=folder.name)

        def beat(report: Mapping[str, Any]) -> None:
            _keep(folder / STATUS, report)
            if report["as_of"]:
                warm.set()

        codes[folder] = run_follower(folder, stop.is_set, beat, open_ledger=opened, pages=False)
        stop.set()

    threads = [threading.Thread(target=follow, args=(folder,), name=folder.name) for folder in folders]
    for thread in threads:
        thread.start()
        # msgspec learns a type at its first use, and ends the process if two threads use it first at once.
        warm.wait(WARM)
    for thread in threads:
        while thread.is_alive():  # a join without a limit would hold up signals
            thread.join(0.5)
    return max(codes.values())


def _keep(path: Path, report: Mapping[str, Any]) -> None:
    """Put the report in the place of the one before, whole."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(report))
    fresh.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
