"""On a fresh machine make lists its commands and names missing packages."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parent.parent.parent
BASH = "/bin/bash"


def run_make_venv(programs: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run deploy/make-venv on a machine that has only `programs` (name -> shell text)."""
    path = tmp_path / "bin"
    for name, text in programs.items():
        program = path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!{BASH}\n{text}\n")
        program.chmod(0o755)
    return subprocess.run(
        [BASH, str(ROOT / "deploy/make-venv"), str(tmp_path / "venv")],
        env={"PATH": f"{path}:{path / 'further'}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_bare_make_lists_the_commands() -> None:
    listed = subprocess.run(
        ["make"], cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    ).stdout
    for command in ("install", "up", "down", "test", "test-integration", "lint", "types", "bench", "profile"):
        assert f"make {command}" in listed


def test_without_python_the_debian_package_is_named(tmp_path: Path) -> None:
    refused = run_make_venv({}, tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "apt install python3.11 python3.11-venv" in refused.stderr


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    old = 'case "$1" in --version) echo "Python 3.9.2";; *) exit 1;; esac'
    refused = run_make_venv({"python3": old}, tmp_path)
    assert refused.returncode == 1
    assert "Python 3.9.2" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_without_venv_the_debian_package_is_named(tmp_path: Path) -> None:
    bare = 'case "$2" in *ensurepip*) exit 1;; *%d.%d*) echo 3.11;; esac'
    refused = run_make_venv({"python3.11": bare}, tmp_path)
    assert refused.returncode == 1
    assert "apt install python3.11-venv" in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("present", ["python3.11", "python3"])
def test_python_311_is_found_first(present: str, tmp_path: Path) -> None:
    says = 'case "$1" in -m) echo made by $0 >&2; exit 1;; esac; case "$2" in *%d.%d*) echo 3.11;; esac'
    other = says.replace("3.11", "3.12")
    programs = {present: says} | ({"python3": other} if present != "python3" else {})
    refused = run_make_venv(programs | {"rm": "exit 0"}, tmp_path)
    assert f"bin/{present}" in refused.stderr


@pytest.mark.parametrize(("own", "chosen"), [("0", "bin/further/python3.11"), ("1", "bin/python3.11")])
def test_of_equal_versions_the_distributions_python_is_chosen(own: str, chosen: str, tmp_path: Path) -> None:
    says = 'case "$1" in -m) echo made by $0 >&2; exit 1;; esac; case "$2" in *%d.%d*) echo 3.11;; '
    first = says + "*base_prefix*) exit 1;; esac"
    further = says + f"*base_prefix*) exit {own};; esac"
    refused = run_make_venv({"python3.11": first, "further/python3.11": further, "rm": "exit 0"}, tmp_path)
    assert refused.stderr.endswith(f"made by {tmp_path}/{chosen}\n")


def test_a_python_without_ensurepip_is_skipped(tmp_path: Path) -> None:
    says = 'case "$1" in -m) echo made by $0 >&2; exit 1;; esac; case "$2" in *%d.%d*) echo 3.11;; '
    bare = says + "*ensurepip*) exit 1;; esac"
    whole = says + "*base_prefix*) exit 1;; esac"
    refused = run_make_venv({"python3.11": bare, "further/python3.11": whole, "rm": "exit 0"}, tmp_path)
    assert refused.stderr.endswith(f"made by {tmp_path}/bin/further/python3.11\n")


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        ([], {"HOST": "desktop.example"}, None),
        (["HOST=192.0.2.7"], {"HOST": "desktop.example"}, "192.0.2.7"),
        (["HOST=192.0.2.7"], {"DTVN_HOST": "192.0.2.8"}, "192.0.2.7"),
    ],
)
def test_the_variable_host_of_the_shell_does_not_set_the_address(
    words: list[str], environment: dict[str, str], expected: str | None
) -> None:
    """Some shells keep the machine's name in HOST: the platform would open itself to the network."""
    printed = subprocess.run(
        ["make", "-n", "up", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.findall(r'HOST="([^"]*)"', printed) == ([expected] if expected else [])


def profiled(
    what: str, tmp_path: Path, *, titles: dict[int, str], seconds: str = "5", out: str = "out.json"
) -> subprocess.CompletedProcess[str]:
    """`deploy/profile` of processes with these titles; in place of py-spy, a program that shows its words."""
    listed = "\n".join(f"{pid} {title}" for pid, title in titles.items())
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {
        "pgrep": f"grep -E \"[0-9]+ ${{2#^}}\" <<< '{listed}' | {{ [ $1 = -af ] && cat || cut -d' ' -f1; }}",
        "ps": "echo 7",
    }.items():
        (programs / name).write_text(f"#!{BASH}\n{text}\n")
        (programs / name).chmod(0o755)
    return subprocess.run(
        [ROOT / "deploy/profile", "echo", what, str(tmp_path), seconds, out],
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    ("what", "processes"),
    [
        ("web", "--pid 11"),
        ("node1", "--pid 12"),
        ("api-node1", "--pid 13"),
        ("learner", "--pid 14"),
        ("up", "--pid 7"),
        ("all", "--pid 7 --subprocesses"),
    ],
)
def test_profile_records_the_process_that_is_named(what: str, processes: str, tmp_path: Path) -> None:
    titles = {
        10: "dtvn web (/another)",
        11: f"dtvn web ({tmp_path})",
        12: f"dtvn validator node1 ({tmp_path})",
        13: f"dtvn api node1 ({tmp_path}/nodes/node1)",
        14: f"dtvn learner learner ({tmp_path})",
    }
    done = profiled(what, tmp_path, titles=titles)
    words = f"record {processes} --duration 5 --rate 200 --format speedscope --output out.json"
    assert (done.stdout.strip(), done.returncode) == (words, 0), done.stderr


@pytest.mark.parametrize("what", ["node9", ".*", "node.", "node", "validator node1", ""])
def test_profile_of_an_unknown_process_names_those_that_run(what: str, tmp_path: Path) -> None:
    titles = {11: f"dtvn web ({tmp_path})", 12: f"dtvn validator node1 ({tmp_path})"}
    refused = profiled(what, tmp_path, titles=titles)
    assert refused.returncode == 2
    assert refused.stderr.strip() == f"WHAT={what} is not running; there are: up all node1 web"


@pytest.mark.parametrize("seconds", ["0", "abc", "-1", "1.5", "", "100000", "1 2"])
def test_profile_for_no_number_of_seconds_is_refused(seconds: str, tmp_path: Path) -> None:
    refused = profiled("web", tmp_path, titles={11: f"dtvn web ({tmp_path})"}, seconds=seconds)
    told = f"FOR={seconds} is not a whole number of seconds from 1 to 99999\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", told)


@pytest.mark.parametrize("out", ["/nonexistent/x", "/", ""])
def test_profile_into_no_file_is_refused(out: str, tmp_path: Path) -> None:
    refused = profiled("web", tmp_path, titles={11: f"dtvn web ({tmp_path})"}, out=out)
    told = f"OUT={out} is not a file that can be written, in a folder that exists\n"
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", told)


def test_profile_without_a_network_says_so(tmp_path: Path) -> None:
    refused = profiled("web", tmp_path, titles={})
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "no network is running on" in refused.stderr
