"""The make targets, the integration runner and run.sh of the Go DTVN: all there, with its options."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.table import table

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "scripts" / "run-integration-tests.sh"
TARGETS = [
    "all",
    "build",
    "clean",
    "test",
    "test-unit",
    "test-coverage",
    "test-integration",
    "test-integration-verbose",
    "test-integration-single",
    "test-integration-parallel",
    "test-integration-debug",
    "integration-test",
    "lint",
    "fmt",
    "tidy",
    "proto",
    "run-validator",
    "run-bootstrap",
    "run-network",
    "run-simulator",
    "run-simulator-partition",
    "deps",
    "dev-setup",
    "help",
]


def ran(*words: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run as from a shell: below another make, make also names its directories."""
    outside = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"}
    return subprocess.run(
        words, cwd=cwd, env=outside, capture_output=True, text=True, timeout=120, check=False
    )


def last_line(target: str) -> list[str]:
    """The words of the last command of a target, which is not run."""
    return shlex.split(ran("make", "-n", target).stdout.strip().splitlines()[-1])


@table("target", TARGETS, count=24)
def test_every_target_is_there(target: str) -> None:
    made = ran("make", "-n", target, "TEST=x")
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize(
    ("target", "flags"),
    [
        ("run-validator", "-id node0 -port 4001 -api-port 8080 -primary -total-nodes 4"),
        ("run-bootstrap", "-port 4000 -api-port 8000 -bootstrap-node -primary -total-nodes 7"),
    ],
)
def test_nodes_start_with_the_flags_of_the_go_dtvn(target: str, flags: str) -> None:
    words = last_line(target)
    assert words[:2] == ["exec", "bin/validator"]
    assert set(shlex.split(flags)) <= set(words)
    assert "make up" in ran("make", "-n", target).stdout


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("test-integration-verbose", ["-v"]),
        ("test-integration-parallel", ["-p"]),
        ("test-integration-debug", ["-v", "--no-cleanup"]),
    ],
)
def test_targets_hand_the_runner_its_options(target: str, options: list[str]) -> None:
    assert last_line(target) == ["scripts/run-integration-tests.sh", *options]


def test_the_runner_explains_its_options() -> None:
    shown = ran(RUNNER, "--help")
    assert shown.returncode == 0
    for option in ("-p, --parallel", "-v, --verbose", "--no-cleanup", "--pattern", "--timeout", "-h, --help"):
        assert f"  {option}" in shown.stdout
    assert "make test-integration" in shown.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--what"], "Unknown option: --what"),
        (["--pattern"], "--pattern needs a value"),
        (["--timeout", "soon"], "--timeout: 'soon' is not a duration such as 300ms, 5s or 1m30s"),
        (["--timeout", "-5s"], "--timeout: -5s is less than 0"),
    ],
)
def test_the_runner_refuses_what_it_does_not_know(options: list[str], said: str) -> None:
    refused = ran(RUNNER, *options)
    assert (refused.returncode, refused.stderr.strip()) == (1, said)


def test_run_sh_needs_a_file_of_variables(tmp_path: Path) -> None:
    refused = ran(ROOT / "run.sh", "validator", cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: .env file not found. Without it, start bin/validator itself:")
    refused = ran(ROOT / "run.sh", "gossip", cwd=tmp_path)
    assert refused.returncode == 1
    assert "{supervisor|validator|simulator}" in refused.stderr


def test_run_sh_hands_the_variables_of_the_file_on(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DTVN_METRICS_PORT=soon\n")
    refused = ran(ROOT / "run.sh", "validator", "-dev-keys", "-data-dir", tmp_path / "data", cwd=tmp_path)
    assert refused.returncode != 0
    assert "DTVN_METRICS_PORT" in refused.stderr
    assert "soon" in refused.stderr
