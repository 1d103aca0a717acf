"""The five minutes of docs/use/events.md, typed word for word into a shell: from pip to the proxy."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.taught import blocks
from tests.integration.node_cluster import ROOT
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(900)]
ALONE = ("unshare", "--net", "--map-root-user")
LOOPBACK = "ip link set lo up\n"
END = "\nkill $(jobs -p); wait"


def typed(
    text: str, home: Path, *before: str, patience: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """What a shell in a clone says, whose user has this home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [*before, "bash", "-c", text],
        cwd=home / "clone",
        env=kept | {"HOME": str(home), "no_proxy": "*", "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )


@pytest.mark.exhaustive
def test_the_five_minutes_work_word_for_word(tmp_path: Path) -> None:
    (tmp_path / "clone").mkdir()
    for name in ("dtvn", "verifier"):
        shutil.copytree(ROOT / name, tmp_path / "clone" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "clone")
    taught = blocks("use/events.md", "")
    install, recordings, judged = taught[:3]
    said = typed(install + recordings, tmp_path, patience=10 * PATIENCE)
    assert (said.returncode, said.stdout[-len(judged) :]) == (1, judged), said
    place = next(number for number, text in enumerate(taught) if "http.server" in text)
    second, passed = taught[place : place + 2]
    # The ports of the page may be taken here: it has a network of its own where the system allows that.
    separate = subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode == 0
    said = typed((LOOPBACK if separate else "") + second + END, tmp_path, *(ALONE if separate else ()))
    assert passed in said.stdout, said
