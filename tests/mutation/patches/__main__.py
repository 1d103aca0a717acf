"""`python -m tests.mutation.patches`: see its --help."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.mutation.patches.judge import checkout, judge
from tests.mutation.patches.record import ROOT, Record, record, rooms

RECORD = ROOT / "test-data" / "lines"


def _read() -> argparse.Namespace:
    reader = argparse.ArgumentParser(
        prog="python -m tests.mutation.patches",
        description="Judges bugs that outsiders planted: does a fast test notice each patch of a folder?",
    )
    reader.add_argument("--record", type=Path, default=RECORD, help=f"default {RECORD.relative_to(ROOT)}")
    verbs = reader.add_subparsers(dest="verb", required=True)
    first = verbs.add_parser("record", help="run the fast tests, and keep which test runs which line")
    first.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(rooms())}; default: all")
    first.add_argument("--jobs", type=int, default=2, help="rooms at a time (default 2)")
    second = verbs.add_parser("judge", help="try the tests of its lines on each FOLDER/*.diff")
    second.add_argument("folder", type=Path, metavar="FOLDER", help="patches of the commit that was recorded")
    second.add_argument("--only", nargs="+", metavar="NAME", help="names of patches, without .diff")
    second.add_argument("--limit", type=float, default=60, help="seconds of processor time (default 60)")
    return reader.parse_args()


def _record(given: argparse.Namespace) -> Iterator[str]:
    if unknown := sorted(set(given.rooms) - rooms().keys()):
        sys.exit(f"There is no room {', '.join(unknown)}; there are {', '.join(rooms())}.")
    yield from record(given.record.resolve(), given.rooms or list(rooms()), given.jobs)


def _judge(given: argparse.Namespace) -> Iterator[str]:
    patches = sorted(given.folder.glob("*.diff"))
    if given.only:
        patches = [patch for patch in patches if patch.stem in given.only]
    recorded = Record(given.record.resolve())
    if not patches or not recorded.seconds:
        sys.exit("Nothing to judge: no patches, or `record` has not been run.")
    survived = 0
    with checkout() as place:
        for patch in patches:
            try:
                verdict = judge(patch, place, recorded, given.limit)
            except subprocess.CalledProcessError as error:
                sys.exit(f"{patch.name} does not apply: {error.stderr.strip()}")
            survived += not verdict.caught_by
            yield str(verdict)
    yield f"{len(patches) - survived} of {len(patches)} were caught."


for line in {"record": _record, "judge": _judge}[(given := _read()).verb](given):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
