"""A web process without a cluster, as `up` starts it, on a data folder of its own."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from tests.waiting import PATIENCE, wait_until
from validators.data_folder.tcp_ports import listen

ROOT = Path(__file__).parents[2]
SECRET_KEY = "s" * 64
KEY = "dtvn_key_of_a_client_of_the_web_process"
MAKE_KEY = f"""
import django; django.setup()
from validators.services import api_keys, teams
api_keys.store_api_key({KEY!r}, label="client", team=teams.everything())
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
operator = Client()
operator.force_login(User.objects.create_superuser("operator"))
print(operator.cookies[settings.SESSION_COOKIE_NAME].output(attrs=(), header="").strip())
"""


class WebProcess:
    """Its address and what it holds."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], session: str) -> None:
        """`session`: the cookie of an operator who has logged in."""
        self.port = port
        self.session = session
        self.url = f"http://127.0.0.1:{port}"
        self.process = process

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=PATIENCE, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def files(self) -> int:
        """Open file descriptors."""
        return int(psutil.Process(self.process.pid).num_fds())


@contextmanager
def web_process(folder: Path, *, files: int = 0) -> Iterator[WebProcess]:
    """It may open at most `files` file descriptors, if that is given; KEY opens its API and its feed."""
    for part in ("platform", "static", "slots"):
        (folder / part).mkdir()
    environment = {"PATH": os.environ["PATH"], "DTVN_DATA": str(folder), "DTVN_SECRET_KEY": SECRET_KEY}
    environment |= {"DJANGO_SETTINGS_MODULE": "dtvn_project.settings"}
    for step in (["manage.py", "migrate", "-v0"], ["manage.py", "collectstatic", "-v0"], ["-c", MAKE_KEY]):
        made = subprocess.run(
            [sys.executable, *step],
            cwd=ROOT,
            env=environment,
            check=True,
            timeout=PATIENCE,
            stdout=subprocess.PIPE,
            text=True,
        )
        session = made.stdout.strip()
    with listen("127.0.0.1", 0) as listener:
        descriptor = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "validators.processes.web", str(descriptor), str(os.getpid())],
            cwd=ROOT,
            env=environment,
            pass_fds=[descriptor],
        )
        if files:
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (files, files))
        web = WebProcess(listener.getsockname()[1], process, session)
        try:
            wait_until(web.answers, what=f"{web.url} answers")
            yield web
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
