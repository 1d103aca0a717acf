"""Event streams in other people's projects: the step of `action.yml`, which installs `dtvn[events]` into an
empty virtual environment, the pytest plugin there, and the command of the pre-commit hook."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.integration.node_cluster import ROOT
from tests.integration.test_installed import BROUGHT, LISTED, run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

EVENTS = {"httpx", "httpcore", "h11", "anyio", "certifi", "idna", "typing_extensions", "uvicorn", "click"} | {
    "jsonschema",
    "jsonschema-specifications",
    "referencing",
    "rpds-py",
    "attrs",
}
"""What the extra `events` brings."""
GOOD = ROOT / "tests/events/recorded/pyd-01-text.sse"
BAD = ROOT / "tests/events/reported/23-end-of-other-id.ndjson"
STARTED = '{"type":"RUN_STARTED","threadId":"t","runId":"r"}\n'
PROJECT = """
from pathlib import Path

import pytest
from ag_ui.core import RunFinishedEvent, RunStartedEvent

HERE = Path(__file__).parent


def agent():
    yield RunStartedEvent(thread_id="t", run_id="r")
    yield RunFinishedEvent(thread_id="t", run_id="r")


def test_a_good_recording(assert_valid_run):
    assert_valid_run((HERE / "good.sse").read_text())


def test_a_bad_recording(assert_valid_run):
    assert_valid_run((HERE / "deep/bad.ndjson").read_text())


def test_an_agent(assert_valid_run):
    assert assert_valid_run(agent()).runs == 1
"""


class Project:
    """A folder with a good and a bad recording, and the environment into which the step installs."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "project"
        self.source = place / "source"
        self.output = place / "output"
        self.programs = place / "temporary/dtvn-validate-events/bin"
        (self.folder / "deep").mkdir(parents=True)
        (place / "temporary").mkdir()
        shutil.copy(GOOD, self.folder / "good.sse")
        shutil.copy(BAD, self.folder / "deep/bad.ndjson")
        (self.folder / "cut.sse").write_text(f"data: {STARTED}\n")
        # pip builds inside the sources.
        for name in ("dtvn", "verifier", "deploy"):
            shutil.copytree(ROOT / name, self.source / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", self.source)

    def step(self, *, more: dict[str, str] | None = None, **inputs: str) -> subprocess.CompletedProcess[str]:
        """Run the command of action.yml with these inputs, as GitHub's runner does. `more`: variables that
        the workflow sets."""
        action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
        (step,) = action["runs"]["steps"]
        values = {name: str(given.get("default", "")) for name, given in action["inputs"].items()}
        values |= {"python": sys.executable} | inputs
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        for name, value in step["env"].items():
            environment[name] = re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: values[found[1]], value)
        environment |= {
            "GITHUB_ACTION_PATH": str(self.source),
            "GITHUB_OUTPUT": str(self.output),
            "RUNNER_TEMP": str(self.programs.parents[1]),
        } | (more or {})
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """After the step has passed once."""
    made = Project(tmp_path_factory.mktemp("events"))
    done = made.step(files="good.sse")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "good.sse: valid. 10 events, 0 errors, 0 warnings." in done.stdout
    return made


def findings(path: Path) -> list[tuple[str, str]]:
    (found,) = json.loads(path.read_text("utf-8"))["runs"]
    assert found["tool"]["driver"]["version"] == "0.2.0"
    places = [
        each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in found["results"]
    ]
    return [(each["ruleId"], place) for each, place in zip(found["results"], places, strict=True)]


def test_the_step_fails_where_streams_are_bad_or_cut_off(project: Project) -> None:
    done = project.step(files="**/*.sse\n\n  **/*.ndjson", options="--max-warnings=0\n", sarif="all.sarif")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "cut.sse: NOT VALID, unfinished run. 1 event, 1 error, 0 warnings. AG-UI 1.0, LOCAL_ONLY." in lines
    noted = [line for line in lines if line.startswith("::")]
    assert [line.split("::")[1] for line in noted] == [
        "error file=cut.sse,line=1,title=STREAM_NOT_TERMINATED",
        "error file=deep/bad.ndjson,line=4,title=MESSAGE_NOT_OPEN",
    ]
    assert findings(project.folder / "all.sarif") == [
        ("STREAM_NOT_TERMINATED", "cut.sse"),
        ("MESSAGE_NOT_OPEN", "deep/bad.ndjson"),
    ]
    assert project.output.read_text().splitlines()[-1] == "sarif=all.sarif"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("gone/*.sse", "files: no file matches gone/*.sse. Name the recordings from "),
        ("deep", "files: no file matches deep. "),
        (" \n", "files is empty. Give files, patterns or addresses of agents, one a line."),
    ],
)
def test_the_step_does_not_pass_without_files(project: Project, files: str, said: str) -> None:
    done = project.step(files=files)
    assert done.returncode == 2
    assert done.stdout.startswith(f"::error title=dtvn::{said}")


def test_the_step_runs_no_module_of_the_checkout(project: Project) -> None:
    """Of a pull request, anybody may write the files; only their streams are read."""
    planted = [
        project.folder / f"{name}.py" for name in ("venv", "pip", "ensurepip", "tempfile", "dtvn", "httpx")
    ]
    for each in planted:
        each.write_text(f"open({str(project.folder / 'executed')!r}, 'a').write(__name__)\n")
    done = project.step(files="good.sse", more={"PYTHONPATH": str(project.folder)})
    for each in planted:
        each.unlink()
    assert (done.returncode, done.stderr) == (0, "")
    assert "good.sse: valid. 10 events, 0 errors, 0 warnings." in done.stdout
    assert not (project.folder / "executed").exists()


def test_an_agent_that_is_away_fails_the_step(project: Project) -> None:
    done = project.step(files="http://127.0.0.1:1/agent")
    assert (done.returncode, "cannot read http://127.0.0.1:1/agent" in done.stderr) == (2, True)


def test_the_extra_brings_no_django(project: Project) -> None:
    code, listed = run(project.programs / "python", "-I", "-c", LISTED)
    assert code == 0
    assert {"dtvn", "httpx", "jsonschema"} <= set(listed.split())
    assert set(listed.split()) <= BROUGHT | EVENTS


def test_pytest_finds_the_plugin_and_shows_what_is_wrong(project: Project) -> None:
    python = project.programs / "python"
    asked = ["-c", ROOT / "constraints.txt", "pytest", "ag-ui-protocol"]
    code, said = run(python, "-m", "pip", "install", "--quiet", *asked)
    assert code == 0, said
    (project.folder / "test_agent.py").write_text(PROJECT)
    code, said = run(python, "-m", "pytest", "-p", "no:cacheprovider", project.folder)
    assert code == 1
    assert "plugins: dtvn-0.2.0" in said
    assert "1 failed, 2 passed" in said
    assert 'error MESSAGE_NOT_OPEN at event 3 (line 4), messageId: Message "msg-l" is not open.' in said


def test_the_hook_runs_an_installed_command_on_recordings_only(project: Project) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    (needed,) = hook["additional_dependencies"]
    assert f'"{needed}"' in (ROOT / "pyproject.toml").read_text("utf-8"), "as the extra `events` has it"
    names = ["good.sse", "deep/bad.ndjson", "cut.sse", "test_agent.py", "x.sse.txt"]
    assert [name for name in names if re.search(hook["files"], name)] == names[:3]
    program, *arguments = shlex.split(hook["entry"] + " " + shlex.join(hook["args"]))
    shutil.copy(BAD, project.folder / "--junit=bad.sse")

    def checked(*files: str) -> int:
        command = [str(project.programs / program), *arguments, *files]
        return subprocess.run(command, cwd=project.folder, check=False, capture_output=True).returncode

    assert checked("good.sse") == 0
    assert checked("good.sse", "cut.sse") == 1
    assert checked("good.sse", "deep/bad.ndjson") == 1
    assert checked("good.sse", "--junit=bad.sse") == 1
