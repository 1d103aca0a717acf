"""`manage.py check --deploy` with the environment that docs/operate/running.md gives for production."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/operate/running.md"


def documented() -> dict[str, str]:
    """The variables in the page's example of a production start."""
    found = re.search(r"```\n((?:[A-Z_]+=\S+ \\\n)+)make up\n```", PAGE.read_text(encoding="utf-8"))
    assert found is not None
    return dict(re.findall(r"([A-Z_]+)=(\S+)", found[1]))


def test_the_documented_production_settings_pass_djangos_checks(tmp_path: Path) -> None:
    given = documented()
    assert given["DTVN_HTTPS"] == "1"
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | given | {"DTVN_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("System check identified no issues")
