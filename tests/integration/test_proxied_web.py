"""Two web processes of one platform behind the nginx of `deploy/nginx`, with TLS; the second has only what
the documentation names, in a data folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.integration.network import REPOSITORY, START_PATIENCE, Network, network
from tests.integration.own_brokers import own_redis
from tests.integration.postgresql import postgresql
from tests.integration.test_process_life import consume
from tests.needed import lacking
from tests.ports import LOOPBACK, free_ports
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

COPIED = ("cluster/genesis.bin", "keys/gateway.key")
MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    log_format upstreams '$upstream_addr';
    access_log {folder}/upstreams.log upstreams;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/tickets.conf;
}}
"""


def answers(address: str, trusted: ssl.SSLContext | bool = True) -> bool:
    try:
        return httpx.get(f"{address}/health", verify=trusted, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def running(
    command: list[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as said:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


@contextmanager
def further_web(first: Network, folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Port and process of `manage.py web` on a data folder with nothing but COPIED."""
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, mode=0o700)
        shutil.copy(first.data / name, folder / name)
    (port,) = free_ports(1)
    secret = (first.data / "secret.key").read_text()
    environment = first.environment() | {"DTVN_DATA": str(folder), "DTVN_SECRET_KEY": secret}
    log = folder.parent / "web.log"
    command = [sys.executable, "manage.py", "web", "--port", str(port)]
    with running(command, environment, log) as process:
        wait_until(
            lambda: answers(f"http://{LOOPBACK}:{port}"),
            timeout=START_PATIENCE,
            what=lambda: f"it answers: {log.read_text()}",
        )
        yield port, process


@contextmanager
def nginx(folder: Path, upstreams: tuple[int, int]) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Address of the example's server, and who trusts its certificate."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        lacking("no nginx on this machine: apt-get install nginx")
    folder.mkdir()
    certificate, key = folder / "tickets.crt", folder / "tickets.key"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tickets"]
    made += ["-addext", f"subjectAltName=IP:{LOOPBACK}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True, timeout=PATIENCE)
    plain, secure = free_ports(2)
    example = (REPOSITORY / "deploy" / "nginx" / "tickets.conf").read_text()
    for ours, theirs in (
        (f"{LOOPBACK}:{upstreams[0]}", "127.0.0.1:8080"),
        (f"{LOOPBACK}:{upstreams[1]}", "127.0.0.1:8081"),
        (f"listen {LOOPBACK}:{plain};", "listen 80;"),
        (f"listen {LOOPBACK}:{secure} ssl;", "listen 443 ssl;"),
        (str(certificate), "/etc/ssl/tickets.crt"),
        (str(key), "/etc/ssl/private/tickets.key"),
    ):
        assert theirs in example
        example = example.replace(theirs, ours)
    (folder / "tickets.conf").write_text(example)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    trusted = ssl.create_default_context(cafile=certificate)
    address = f"https://{LOOPBACK}:{secure}"
    command = [program, "-p", str(folder), "-c", "nginx.conf"]
    with running(command, dict(os.environ), folder / "said.log"):
        said = folder / "error.log"
        wait_until(lambda: answers(address, trusted), what=lambda: f"nginx answers: {said.read_text()}")
        yield address, trusted


def log_in(person: httpx.Client, credentials: Mapping[str, str]) -> None:
    """As a browser does, through the proxy: the form, and the page that it leads to."""
    page = person.get("/admin/login/").text
    token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    sent = {"username": credentials["admin_user"], "password": credentials["admin_password"]}
    sent |= {"csrfmiddlewaretoken": token, "next": "/"}
    headers = {"Referer": f"{person.base_url}/admin/login/", "Origin": str(person.base_url)}
    answer = person.post("/admin/login/?next=/", data=sent, headers=headers)
    assert (answer.status_code, answer.headers.get("location")) == (302, "/"), answer.text


def admitted(socket: ClientConnection, ticket: str) -> bool:
    """Waits until the feed shows that a ticket was used."""
    while True:
        frame = json.loads(socket.recv(PATIENCE))
        if (frame["type"], frame.get("ticket_id")) == ("ticket_consumed", ticket):
            return True


@pytest.mark.exhaustive
def test_two_web_processes_behind_a_proxy_are_one_platform(tmp_path: Path) -> None:
    with ExitStack() as held:
        settings = {
            "DATABASE_URL": held.enter_context(postgresql()).database(),
            "CELERY_BROKER_URL": held.enter_context(own_redis(tmp_path / "redis")).url,
            "NODES": "1",
            "DTVN_HTTPS": "1",
            "DTVN_ALLOWED_HOSTS": "tickets.example.org",
        }
        first = held.enter_context(network(tmp_path / "data", environment=settings))
        first.start()
        port, second = held.enter_context(further_web(first, tmp_path / "own"))
        address, trusted = held.enter_context(nginx(tmp_path / "nginx", (first.port, port)))
        person = held.enter_context(httpx.Client(base_url=address, verify=trusted, timeout=PATIENCE))
        log_in(person, first.credentials)
        for _ in range(4):  # in turn to either of them
            assert person.get("/dashboard/snapshot").status_code == 200
        asked = set((tmp_path / "nginx" / "upstreams.log").read_text().split())
        assert asked == {f"{LOOPBACK}:{first.port}", f"{LOOPBACK}:{port}"}
        cookies = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
        key = {"X-API-Key": first.credentials["api_key"]}
        page = {"Cookie": cookies, "Origin": address}
        secure = address.replace("https", "wss")
        sockets = [
            held.enter_context(connect(f"{place}/ws", additional_headers=headers, ssl=context))
            for place, headers, context in (
                (f"ws://{LOOPBACK}:{first.port}", key, None),
                (f"ws://{LOOPBACK}:{port}", key, None),
                (secure, page, trusted),
                (secure, page, trusted),
            )
        ]
        with httpx.Client(base_url=address, headers=key, verify=trusted, timeout=PATIENCE) as gate:
            assert gate.post("/api/v1/tickets/seed").status_code == 200
            consume(gate, "TICKET-001")
            assert all(admitted(socket, "TICKET-001") for socket in sockets)
            second.send_signal(signal.SIGTERM)
            second.wait(PATIENCE)
            for number in range(2, 6):
                consume(gate, f"TICKET-00{number}")
