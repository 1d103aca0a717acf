"""The one step of action.yml: installs this copy of dtvn and checks event streams. By hand, in any folder:

    DTVN_FILES='streams/**/*.sse' python3 deploy/validate_events.py

Reads DTVN_FILES and DTVN_OPTIONS (one a line) and DTVN_SARIF, as action.yml says. Exit status: that of
`dtvn validate`; 2 as well if a pattern matches no file or dtvn cannot be installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
NOT_JUDGED = 2
_COMMAND = "from dtvn.cli.main import command; command()"
"""What the installed program `dtvn` does."""


class StepError(Exception):
    """Why nothing was checked, and what to do."""


def sources(lines: list[str]) -> list[str]:
    """The files that the lines name, which are paths, patterns, or addresses of agents."""
    found: dict[str, str] = {}
    for line in lines:
        if line.startswith(("http://", "https://")):
            found[line] = line
            continue
        files = [line] if Path(line).is_file() else matching(line)
        if not files:
            raise StepError(f"files: no file matches {line}. Name the recordings from {Path.cwd()}.")
        for name in files:
            found.setdefault(os.path.abspath(name), name)
    if not found:
        raise StepError("files is empty. Give files, patterns or addresses of agents, one a line.")
    return [*found.values()]


def matching(pattern: str) -> list[str]:
    """The files that match, hidden ones too but for those of git. `**` follows no links to folders: they may
    lead back to where they are."""
    pattern += "/*" if pattern.endswith("**") else ""
    path = Path(pattern)
    if path.is_dir():
        return []
    try:
        found = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
        return sorted(str(each) for each in found if each.is_file() and ".git" not in each.parts)
    except ValueError as error:
        raise StepError(f"files: {pattern} is no pattern: {error}") from None


def isolated(python: str, *arguments: str) -> int:
    """Run a Python that imports nothing from this folder or from PYTHONPATH: a module of the project that is
    checked must not be taken for one of the library. Return its exit status."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run([python, "-I", *arguments], env=environment, check=False).returncode


def installed(venv: Path) -> str:
    """The Python of a virtual environment of its own, into which dtvn is installed."""
    python = str(venv / ("Scripts" if os.name == "nt" else "bin") / "python")
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{HERE}[events]"]
    for command in ([sys.executable, "-m", "venv", str(venv)], [python, *pip]):
        code = isolated(*command)
        if code:
            raise StepError(f"cannot install dtvn: {' '.join(command)} ended with {code}.")
    return python


def lines_of(name: str) -> list[str]:
    """The lines of an environment variable that are not blank."""
    return [line.strip() for line in os.environ.get(name, "").splitlines() if line.strip()]


def run(temporary: Path) -> int:
    """Check the files with a dtvn that is installed below `temporary`; return the exit status."""
    if sys.version_info < (3, 11):  # noqa: UP036 - of the machine, not of this project
        raise StepError("dtvn needs Python 3.11 or later. Use actions/setup-python before this step.")
    files = sources(lines_of("DTVN_FILES"))
    sarif = os.environ.get("DTVN_SARIF") or "dtvn.sarif"
    python = installed(temporary / "dtvn-validate-events")
    output = os.environ.get("GITHUB_OUTPUT")
    if output:
        with open(output, "a", encoding="utf-8") as file:
            file.write(f"sarif={sarif}\n")
    chosen = ["--complete", "--output-format", "github", "--sarif", sarif, *lines_of("DTVN_OPTIONS")]
    return isolated(python, "-c", _COMMAND, "validate", *chosen, "--", *files)


def main() -> None:
    """Run as the step."""
    try:
        # The runner's folder is that of one job. By hand, nobody else may have made the folder before.
        given = os.environ.get("RUNNER_TEMP")
        with nullcontext(given) if given else tempfile.TemporaryDirectory() as temporary:
            code = run(Path(temporary).resolve())
    except StepError as error:
        sys.stdout.write(f"::error title=dtvn::{error}\n")
        code = NOT_JUDGED
    sys.exit(code)


if __name__ == "__main__":
    main()
