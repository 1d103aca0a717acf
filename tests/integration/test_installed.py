"""`pip install .` in an empty virtual environment: client library and verifier work without Django."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dtvn.proof import certificate_json, chain_json, decode_certificate, read_chain, verify
from tests.integration.node_cluster import ROOT, Cluster
from tests.proof.support import PaperLog

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

BROUGHT = {"dtvn", "msgspec", "PyNaCl", "pyzmq", "cffi", "pycparser", "pip", "setuptools"}
"""What is in the environment afterwards; the last four come with PyNaCl and with Python."""
ADMIT = """
import sys
from dtvn.gateway import Gateway
from dtvn.machine import Admit, Issue, build

with Gateway.open(sys.argv[1], sys.argv[2], principal="gateway") as gateway:
    for command in (Issue(), Admit(gate="north")):
        operation = build(command, ticket="T-1", actor="gate-7", entry="node0")
        (result,) = gateway.submit([operation], wait=60).result()
        print(result.code)
"""
LISTED = "import importlib.metadata as m; print(*(d.name for d in m.distributions()), sep='\\n')"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the environment's programs. The sources are copied: pip builds inside them."""
    place = tmp_path_factory.mktemp("installed")
    for name in ("dtvn", "verifier"):
        shutil.copytree(ROOT / name, place / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place / "source")
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    pip = [place / "venv/bin/python", "-m", "pip", "install", "--quiet", place / "source"]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place / "venv" / "bin"


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and output of a program that sees nothing of this checkout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=environment,
    )
    return done.returncode, done.stdout + done.stderr


def test_an_installation_depends_on_three_libraries_and_not_django(installed: Path) -> None:
    code, listed = run(installed / "python", "-I", "-c", LISTED)
    assert code == 0
    assert "dtvn" in listed.split()
    assert set(listed.split()) <= BROUGHT


@pytest.mark.exhaustive
def test_an_installed_gateway_admits_a_ticket(installed: Path, tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster.start()
        cluster.ready(cluster.gateway())
        folder = cluster.folder
        said = run(installed / "python", "-I", "-c", ADMIT, folder.genesis, folder.gateway_key)
    assert said == (0, "ok\nok\n")


def test_the_installed_proof_and_verifier_check_a_certificate(installed: Path, tmp_path: Path) -> None:
    log = PaperLog()
    log.admit()
    receipts = log.receipts(len(log.steps))
    chain, certificate = tmp_path / "chain.json", tmp_path / "certificate.json"
    chain.write_bytes(chain_json(log.chain()))
    certificate.write_bytes(certificate_json(receipts))
    expected = verify(decode_certificate(receipts), read_chain(log.chain())).sentences()
    checked = (installed / "dtvn-verify", "certificate", certificate, "--genesis", chain)
    assert run(*checked) == (0, "".join(f"{sentence}\n" for sentence in expected))
    certificate.write_bytes(certificate_json(receipts[:-1] + b"\0"))
    code, said = run(*checked)
    assert (code, said[:11]) == (1, "not proved:")


def test_an_event_stream_is_checked_without_the_platform(installed: Path, tmp_path: Path) -> None:
    stream = tmp_path / "run.ndjson"
    started = '{"type":"RUN_STARTED","threadId":"t","runId":"r"}\n'
    stream.write_text(started + '{"type":"RUN_FINISHED","threadId":"t","runId":"r"}\n')
    assert run(installed / "dtvn", "validate", stream)[0] == 0
    stream.write_text(started * 2)
    code, said = run(installed / "dtvn", "validate", stream)
    assert code == 1
    assert "RUN_ALREADY_ACTIVE at event 1 (line 2)" in said
    code, said = run(installed / "dtvn", "validate", "http://127.0.0.1:1/")
    assert (code, "pip install" in said) == (2, True)
