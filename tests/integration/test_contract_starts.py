"""The contract's cases of how a validator starts, ends and is told things (V with flags)."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus

from dtvn.node.api_helper import PORT_PATIENCE
from tests.integration.contract_nodes import UNDECIDED, Node, P, frames, single
from tests.integration.network import lives
from tests.integration.node_cluster import ROOT, environment
from tests.ports import free_ports
from tests.waiting import PATIENCE, allowed, wait_until

pytestmark = pytest.mark.integration

KEY = "k3y"
CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS",
    "access-control-allow-headers": "Content-Type, Authorization, X-API-Key",
}
REFUSED = {"success": False, "error": "Invalid or missing API key"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page such as the Go DTVN's: our own words, its names."""
    root = tmp_path_factory.mktemp("page")
    for folder in ("css", "js"):
        (root / folder).mkdir()
    (root / "index.html").write_text("<!doctype html><title>page</title>")
    (root / "css" / "main.css").write_text("body { margin: 0 }")
    (root / "js" / "app.js").write_text("export {};")
    return root


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, page: Path) -> Iterator[Node]:
    """V with a key, a page, a salt of its own and other pages allowed."""
    settings = {"DTVN_KEY_SEED": "secret", "DTVN_WS_ORIGINS": "http://evil.example, http://b"}
    data = tmp_path_factory.mktemp("locked") / "data"
    with single(data, "-api-key", KEY, "-static-dir", str(page), settings=settings) as node:
        yield node


def check_key(node: Node) -> None:
    def asked(**headers: str) -> httpx.Response:
        return node.get("/stats", headers={name.replace("_", "-"): value for name, value in headers.items()})

    for refused in (
        asked(),
        asked(X_API_Key="wrong"),
        asked(X_API_Key="wrong", Authorization=f"Bearer {KEY}"),
        asked(Authorization=f"bearer {KEY}"),
        asked(Authorization=KEY),
        node.post("/tickets/seed"),
        node.get("/nothing"),
    ):
        assert (refused.status_code, refused.json()) == (401, REFUSED)
    assert asked(X_API_Key=KEY).status_code == 200
    assert asked(Authorization=f"Bearer {KEY}").status_code == 200
    assert node.http.get("/health").status_code == 200
    with node.socket() as opened:
        opened.send('{"type":"ping"}')
        assert frames(opened, 1) == [{"type": "pong"}]


def test_c17_another_salt_gives_another_identity(locked: Node) -> None:
    crypto = locked.data_of("/node/crypto", headers={"X-API-Key": KEY})
    assert crypto["peer_id"] == "12D3KooWJYd11GLqmTjdw9wE96ocpZkd3WASz5PxivHLCxNMrc2h"
    assert crypto["public_key"] == "81b0a8fb4232a934f44fce4e87b3f8d4421ce37d8091090cd30d0f6392b8c396"


def test_c19_a_key_can_be_given_by_flag(locked: Node) -> None:
    check_key(locked)
    assert locked.http.get("/").status_code == 200
    assert KEY not in locked.said()


def test_c20_cors_headers_are_on_every_answer(locked: Node) -> None:
    for response in (
        locked.get("/stats", headers={"X-API-Key": KEY}),
        locked.get("/stats"),
        locked.get("/nothing", headers={"X-API-Key": KEY}),
        locked.http.request("PUT", f"{P}/stats", headers={"X-API-Key": KEY}),
        locked.http.options(f"{P}/tickets/validate"),
    ):
        assert {name: response.headers.get(name) for name in CORS} == CORS
    options = locked.http.options(f"{P}/tickets/validate")
    assert (options.status_code // 100, options.content) == (2, b"")


def test_c20_c48_a_node_serves_the_page_and_its_modules(locked: Node) -> None:
    assert "<title>page" in locked.http.get("/").text
    assert locked.http.get("/js/app.js").headers["content-type"].startswith("text/javascript")
    assert locked.http.get("/css/main.css").status_code == 200
    assert locked.http.get("/index.html").headers["location"] == "./"
    for path in ("/js/missing.js", "/js/../index.html/x", "/js/%2e%2e/%2e%2e/etc/passwd", "/else"):
        assert locked.http.get(path).status_code == 404, path


def test_c21_sockets_of_named_origins_are_accepted(locked: Node) -> None:
    for origin in ("http://evil.example", "http://B"):
        with locked.socket(origin=origin):
            pass
    with pytest.raises(InvalidStatus) as refused, locked.socket(origin="http://other.example"):
        pass
    assert refused.value.response.status_code == 403


def test_x16_errors_are_json_although_a_page_is_served(locked: Node) -> None:
    key = {"X-API-Key": KEY}
    wrong = locked.http.delete(f"{P}/stats", headers=key)
    assert (wrong.status_code, wrong.headers["allow"], wrong.json()["success"]) == (405, "GET", False)
    assert locked.get("/nothing", headers=key).json()["success"] is False


def test_x41_with_a_key_the_origin_does_not_matter(locked: Node) -> None:
    headers = {"X-API-Key": KEY, "Origin": "http://other.example"}

    def decided() -> int:
        status = locked.post("/tickets/validate", {"ticket_id": "NOPE"}, headers=headers).status_code
        return 0 if status in UNDECIDED else status

    assert wait_until(decided, what="it has reached its members") == 404


def helper_of(node: Node) -> psutil.Process:
    assert node.process is not None
    children = psutil.Process(node.process.pid).children()
    [found] = [child for child in children if "dtvn api" in " ".join(child.cmdline())]
    return found


def helper_ends(helper: psutil.Process) -> None:
    """Wait until a helper that has lost its node has ended and freed the port."""
    wait_until(lambda: not lives(helper), what="the end of a helper", timeout=allowed(PORT_PATIENCE))


def test_c19_c24_x10_decided_tickets_survive_stops_and_kills(tmp_path: Path) -> None:
    """A key by environment alone; SIGTERM and kill -9; seeding again changes nothing."""
    headers = {"X-API-Key": KEY}
    with single(tmp_path / "data", settings={"DTVN_API_KEY": KEY}) as node:
        check_key(node)
        node.http.headers.update(headers)
        node.wait_deciding()
        assert node.post("/tickets/seed").json()["data"]["seeded"] == 500
        node.done("validate", "TICKET-001")
        node.done("validate", "TICKET-002")
        node.done("consume", "TICKET-002")
        assert node.post("/tickets/seed").json()["data"]["seeded"] == 0
        before = [node.ticket(f"TICKET-00{number}") for number in (1, 2, 3)]
        checkpoint = node.data_of("/storage/entries")
        helper = helper_of(node)

        began = monotonic()
        assert node.stop(signal.SIGTERM) == 0
        assert monotonic() - began < allowed(10)
        helper_ends(helper)
        node.start()
        assert [node.ticket(f"TICKET-00{number}") for number in (1, 2, 3)] == before
        assert [ticket["State"] for ticket in before] == ["VALIDATED", "CONSUMED", "ISSUED"]

        helper = helper_of(node)
        node.stop(signal.SIGKILL)
        helper_ends(helper)
        node.start()
        assert [node.ticket(f"TICKET-00{number}") for number in (1, 2, 3)] == before
        after = node.data_of("/storage/entries")
        assert after["ticket_states"] == checkpoint["ticket_states"]
        assert after["consensus_log_count"] == checkpoint["consensus_log_count"] == 3

        helper = helper_of(node)
        helper.kill()
        helper_ends(helper)
        node.wait_healthy()
        assert helper_of(node).pid != helper.pid
        node.wait_deciding()
        node.done("consume", "TICKET-001")


def command(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "validator", *flags],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.exhaustive
def test_c30_x26_wrong_usage_ends_at_once_with_a_message(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        [port] = free_ports(1)
        dev = ("-dev-keys", "-data-dir", str(tmp_path / "d"), "-metrics-port", "0", "-port", str(port))
        cases = {
            ("-h",): (0, "-bootstrap-node"),
            ("-bogus",): (2, "-bogus"),
            ("-port", "abc"): (2, "-port"),
            ("-port=0", "-dev-keys"): (2, "-port"),
            ("-total-nodes", "0", *dev): (2, "-total-nodes"),
            ("-total-nodes", "-1", *dev): (2, "-total-nodes"),
            ("-id", "", *dev): (2, "-id"),
            ("-id", "a/b", *dev): (2, "-id"),
            ("-id=../../evil", *dev): (2, "-id"),
            ("-data-dir", str(tmp_path / "empty")): (2, "-genesis"),
            ("-api-port", str(taken.getsockname()[1]), "-total-nodes", "1", *dev): (1, "-api-port"),
        }
        began = monotonic()
        with ThreadPoolExecutor(2) as pool:
            ended = list(pool.map(lambda flags: command(*flags), cases))
        for (flags, (code, word)), result in zip(cases.items(), ended, strict=True):
            said = result.stdout + result.stderr
            assert (result.returncode, word in said) == (code, True), f"{flags}\n{said}"
        usage = ended[0].stdout
        for flag in ("id", "port", "api-port", "data-dir", "bootstrap", "bootstrap-node", "primary"):
            assert f"-{flag}" in usage
        assert "-total-nodes" in usage
        assert "-api-key" in usage
        assert monotonic() - began < allowed(5) * len(cases)
    assert not (tmp_path.parent / "evil").exists()
    assert not (tmp_path / "evil").exists()


def test_x18_the_file_configures_the_api_and_a_flag_overrides_it(tmp_path: Path) -> None:
    [port] = free_ports(1)
    file = tmp_path / "validator.yaml"
    file.write_text(
        json.dumps(
            {"api": {"port": port, "address": "127.0.0.1", "enable_cors": False}, "node": {"id": "node1"}}
        )
    )
    with single(tmp_path / "data", "-config", str(file)) as node:
        assert node.api_port != port
        response = node.get("/config")
        assert response.json()["data"]["node_id"] == "node0", "the flag"
        assert not set(CORS) & set(response.headers)
        assert node.http.options(f"{P}/stats").status_code == 200
        node.wait_deciding()
        assert node.post("/tickets/seed").status_code == 200
        for number in range(1, 12):
            node.done("validate", f"TICKET-1{number:02d}", data=base64.b64encode(b"x").decode())
        assert node.data_of("/storage/entries")["latest_checkpoint"]["sequence"] >= 10


@pytest.mark.embedded_only
@pytest.mark.parametrize(
    ("held", "command", "number"),
    [
        pytest.param(held, command, number, marks=[] if held and usual else [pytest.mark.exhaustive])
        for held in (True, False)
        for command, number, usual in (
            ("validator", signal.SIGTERM, True),
            ("supervisor", signal.SIGINT, True),
            ("validator", signal.SIGINT, False),
            ("supervisor", signal.SIGTERM, False),
        )
    ],
)
def test_x29_a_signal_during_loading_ends_a_node_regularly(
    held: bool, command: str, number: signal.Signals, tmp_path: Path
) -> None:
    """Sent as soon as the program has said to the kernel that it hears both, long before it serves; an
    interpreter hears SIGINT by itself. One that runs on may be quicker than we are, and have begun."""
    flags = ["-data-dir", str(tmp_path / "data"), *(["-dev-keys"] if command == "validator" else [])]
    with subprocess.Popen(
        [sys.executable, "manage.py", command, *flags],
        cwd=ROOT,
        env=environment() | ({"PYTHONPATH": str(endless_import(tmp_path))} if held else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        wait_until(lambda: heard(process.pid, signal.SIGTERM), what="it hears", pause=0)
        process.send_signal(number)
        said, complained = process.communicate(timeout=PATIENCE)
    if held:
        assert (process.returncode, said, complained) == (0, b"", b"")
    assert (process.returncode, b"Traceback" in said + complained) == (0, False)


def endless_import(folder: Path) -> Path:
    """An import path whose Django never finishes loading."""
    package = folder / "loading" / "django"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import threading\nwhile True:\n    threading.Event().wait(0.05)\n")
    return package.parent


def heard(pid: int, number: int) -> bool:
    """Whether a process catches this signal: a bit of SigCgt (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
