"""`python -m tests.mutation`: see its --help."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from tests.mutation.choosing import changed_since, of_lines, of_rooms, with_tests
from tests.mutation.hunt import Prey, Verdict
from tests.mutation.judge import checkout, judge
from tests.mutation.record import FAST, ROOT, Record, record

RECORD = ROOT / "test-data" / "lines"


def _read() -> argparse.Namespace:
    reader = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description="How many bugs would the fast tests miss? Plants generated ones, and judges outsiders'.",
    )
    reader.add_argument("--record", type=Path, default=RECORD, help=f"default {RECORD.relative_to(ROOT)}")
    verbs = reader.add_subparsers(dest="verb", required=True)

    first = verbs.add_parser("record", help="run the fast tests, and keep which test runs which line")
    first.add_argument("rooms", nargs="*", metavar="ROOM", help="folders of tests; default: all")
    first.add_argument("--changed", metavar="BASE", help="only files that changed since this commit")
    first.add_argument("--jobs", type=int, default=2, help="processes (default 2)")

    second = verbs.add_parser("judge", help="try the tests of its lines on each FOLDER/*.diff")
    second.add_argument("folder", type=Path, metavar="FOLDER", help="patches of the commit that was recorded")
    second.add_argument("--only", nargs="+", metavar="NAME", help="names of patches, without .diff")
    second.add_argument("--limit", type=float, default=60, help="seconds of processor time (default 60)")

    third = verbs.add_parser("hunt", help="plant generated mutants of lines that were recorded")
    third.add_argument("--changed", metavar="BASE", help="only of lines that changed since this commit")
    third.add_argument("--room", default="", metavar="PATH", help="only of files whose path starts with PATH")
    third.add_argument("-n", type=int, default=12, metavar="N", help="of each room, or of the changed lines")
    third.add_argument("--seed", type=int, default=1, help="another seed draws others (default 1)")
    third.add_argument("--again", type=Path, metavar="FILE", help="the mutants of an earlier --keep")
    third.add_argument("--keep", type=Path, metavar="FILE", help="write each verdict here, as JSON lines")
    third.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    return reader.parse_args()


def _record(given: argparse.Namespace) -> Iterator[str]:
    files = sorted(changed_since(given.changed)) if given.changed else []
    if given.changed and not files:
        yield f"No line of the product changed since {given.changed}."
        return
    code = record(given.record.resolve(), given.rooms, given.jobs, files)
    yield f"recorded; pytest ended with {code}"


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


def _hunt(given: argparse.Namespace) -> Iterator[str]:
    if given.changed and not changed_since(given.changed):
        yield f"No line of the product changed since {given.changed}."
        return
    recorded = Record(given.record.resolve())
    if given.again:
        lines = given.again.read_bytes().splitlines()
        mutants = [msgspec.json.decode(line, type=Verdict).mutant for line in lines]
    elif given.changed:
        mutants = of_lines(changed_since(given.changed), given.n, given.seed)
    else:
        mutants = list(of_rooms(recorded, given.n, given.seed, given.room))
    prey = list(with_tests(mutants, recorded))
    with ThreadPoolExecutor(given.jobs) as pool:
        shares = pool.map(_hunt_some, [prey[place :: given.jobs] for place in range(given.jobs)])
    verdicts = sorted((each for share in shares for each in share), key=lambda each: each.mutant)
    if given.keep:
        given.keep.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in verdicts))
    for each in verdicts:
        if not each.caught_by:
            mutant = each.mutant
            yield f"survives {each.tests} tests: {mutant.path}:{mutant.line} {mutant.change}"
    yield f"{sum(bool(each.caught_by) for each in verdicts)} of {len(verdicts)} mutants were caught."


def _hunt_some(prey: list[Prey]) -> list[Verdict]:
    rooms = sorted({test.split("::")[0] for each in prey for test in each.tests})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mutants"
        file.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in prey))
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--tb=no", "-m", FAST]
        command += ["--hypothesis-seed=0", "-p", "tests.mutation.hunt", "--hunt", str(file), *rooms]
        ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        kept = Path(f"{file}.verdicts")
        if not kept.exists():
            sys.exit(ended.stdout[-2000:] + ended.stderr[-2000:])
        return [msgspec.json.decode(line, type=Verdict) for line in kept.read_bytes().splitlines()]


VERBS = {"record": _record, "judge": _judge, "hunt": _hunt}
for line in VERBS[(given := _read()).verb](given):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
