"""The one step of action.yml: installs this copy of dtvn and checks event streams. By hand, in any folder:

    DTVN_FILES='streams/**/*.sse' python3 deploy/validate_events.py

Reads DTVN_FILES and DTVN_OPTIONS (one a line) and DTVN_SARIF, as action.yml says. Exit status: that of
`dtvn validate`; 2 as well if a pattern matches no file or dtvn cannot be installed.
"""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
NOT_JUDGED = 2


class StepError(Exception):
    """Why nothing was checked, and what to do."""


def sources(lines: list[str]) -> list[str]:
    """The files that the lines name, which are paths, patterns, or addresses of agents."""
    found: list[str] = []
    for line in lines:
        if line.startswith(("http://", "https://")):
            found.append(line)
            continue
        names = [line] if Path(line).is_file() else glob.glob(line, recursive=True)
        files = sorted(name for name in names if Path(name).is_file())
        if not files:
            raise StepError(f"files: no file matches {line}. Name the recordings from {Path.cwd()}.")
        found += files
    if not found:
        raise StepError("files is empty. Give files, patterns or addresses of agents, one a line.")
    return found


def installed(venv: Path) -> Path:
    """The program `dtvn` in a virtual environment of its own."""
    programs = venv / ("Scripts" if os.name == "nt" else "bin")
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([sys.executable, "-m", "venv", str(venv)], [*pip, f"{HERE}[events]"]):
        done = subprocess.run(command, check=False)
        if done.returncode:
            raise StepError(f"cannot install dtvn: {' '.join(command)} ended with {done.returncode}.")
    return programs / "dtvn"


def lines_of(name: str) -> list[str]:
    """The lines of an environment variable that are not blank."""
    return [line.strip() for line in os.environ.get(name, "").splitlines() if line.strip()]


def run() -> int:
    """Check the files; return the exit status."""
    if sys.version_info < (3, 11):  # noqa: UP036 - of the machine, not of this project
        raise StepError("dtvn needs Python 3.11 or later. Use actions/setup-python before this step.")
    files = sources(lines_of("DTVN_FILES"))
    sarif = os.environ.get("DTVN_SARIF") or "dtvn.sarif"
    temporary = os.environ.get("RUNNER_TEMP") or tempfile.gettempdir()
    program = installed(Path(temporary) / "dtvn-validate-events")
    output = os.environ.get("GITHUB_OUTPUT")
    if output:
        with open(output, "a", encoding="utf-8") as file:
            file.write(f"sarif={sarif}\n")
    chosen = ["--complete", "--output-format", "github", "--sarif", sarif, *lines_of("DTVN_OPTIONS")]
    return subprocess.run([str(program), "validate", *chosen, "--", *files], check=False).returncode


def main() -> None:
    """Run as the step."""
    try:
        code = run()
    except StepError as error:
        sys.stdout.write(f"::error title=dtvn::{error}\n")
        code = NOT_JUDGED
    sys.exit(code)


if __name__ == "__main__":
    main()
