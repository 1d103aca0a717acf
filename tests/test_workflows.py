"""CI files for a public host: they parse, call existing commands, and have minimal permissions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SEED_TARGETS = {
    "build",
    "test",
    "test-unit",
    "test-coverage",
    "test-integration",
    "test-integration-single",
    "run-network",
    "run-simulator",
    "run-simulator-partition",
    "fmt",
    "lint",
}
BY_VERSION = {"actions/attest-build-provenance@v2", "actions/attest-sbom@v2"}
"""Their commits are not known here for sure; dependabot pins them at its first visit."""


def makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", makefile(), re.MULTILINE))


def read(path: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in read(path)["jobs"].values():
        assert job["timeout-minutes"] <= 120, "nothing hangs for ever"
        yield from job["steps"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_that_run_all_tests_have_their_databases(path: Path) -> None:
    for job in read(path)["jobs"].values():
        if any(step.get("run") == ".ci/run" for step in job["steps"]):
            assert set(job.get("services", {})) == {"postgres", "redis", "rabbitmq"}
        elif any(step.get("run") == "make test" for step in job["steps"]):
            assert set(job.get("services", {})) == {"postgres"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_only_existing_commands(path: Path) -> None:
    called = []
    for step in steps(path):
        for line in step.get("run", "").splitlines():
            if found := re.match(r"(make\s+(?P<target>\S+)|(?P<file>\.?[\w-]+/[\w-]+))", line):
                called.append(found["target"] or found["file"])
    assert called
    known = targets() | {str(path.relative_to(ROOT)) for path in [ROOT / ".ci" / "run"]}
    assert set(called) <= known


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_permissions_are_minimal(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for used in re.findall(r"uses: (\S+)(.*)", text):
        name, remark = used
        assert name in BY_VERSION or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name), name
        assert name in BY_VERSION or re.fullmatch(r" # v\d+\.\d+\.\d+", remark), (
            f"{name}: which version is it?"
        )
    assert read(path)["permissions"] == {"contents": "read"}
    for step in steps(path):
        assert "${{" not in step.get("run", ""), "values of the host come through env, never into a script"


def test_ci_runs_all_tests_and_a_release_has_a_signed_sbom() -> None:
    ci, release = (list(steps(ROOT / ".github" / "workflows" / name)) for name in ("ci.yml", "release.yml"))
    for each in (ci, release):
        assert ".ci/run" in [step.get("run") for step in each]
    assert "make sbom" in [step.get("run") for step in release]
    assert {step.get("uses") for step in release} >= BY_VERSION


def test_ci_run_calls_only_make_targets_that_exist() -> None:
    called = re.findall(r"^make (\S+)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert called
    assert set(called) <= targets()


def test_the_action_is_one_script_and_hands_it_all_inputs() -> None:
    action = read(ROOT / "action.yml")
    assert action["runs"]["using"] == "composite"
    (step,) = action["runs"]["steps"]
    found = re.fullmatch(r'"\$DTVN_PYTHON" -I "\$GITHUB_ACTION_PATH/([\w/.]+)"', step["run"])
    assert found is not None, "values of the host come through env, never into a script"
    script = (ROOT / found[1]).read_text(encoding="utf-8")
    given = {re.findall(r"inputs\.(\w+)", value)[0]: name for name, value in step["env"].items()}
    assert set(given) == set(action["inputs"])
    assert all(name in script for name in given.values() if name != "DTVN_PYTHON")
    assert action["outputs"]["sarif"]["value"] == f"${{{{ steps.{step['id']}.outputs.sarif }}}}"


def test_dependabot_looks_at_packages_and_actions() -> None:
    config = read(ROOT / ".github" / "dependabot.yml")
    assert config["version"] == 2
    assert {update["package-ecosystem"] for update in config["updates"]} == {"pip", "github-actions"}


def test_make_has_and_lists_the_targets_of_the_contract() -> None:
    listed = set(re.findall(r"^([a-z-]+):.*## ", makefile(), re.MULTILINE))
    assert listed >= SEED_TARGETS
    phony = makefile().split(".PHONY:")[1].replace("\\\n", " ").splitlines()[0].split()
    assert set(phony) == listed, "each is a command, none a file"


@pytest.mark.parametrize("name", ["validator", "supervisor", "simulator"])
def test_each_executable_calls_its_manage_command(name: str) -> None:
    path = ROOT / "bin" / name
    assert path.stat().st_mode & 0o111 == 0o111
    assert f'manage.py" {name} "$@"' in path.read_text(encoding="utf-8")
