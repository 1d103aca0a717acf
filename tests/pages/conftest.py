"""The platform's pages over a real ledger, without processes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dtvn.gateway import Result
from dtvn.machine import AddPrincipal, Admit, Command, Consume, Dispute, Issue, Resolve, Seed, Validate, build
from dtvn.machine.kinds import KINDS
from dtvn.node.feed_address import feed_address
from dtvn.protocol.genesis import cluster_id
from tests.host.support import key_pair, make_genesis
from tests.pages.browsing import browser, complaints  # noqa: F401 - fixtures of all browser tests
from tests.pages.learner import RealLearner
from tests.pages.stories import clock  # noqa: F401 - the fixture of all stories
from tickets.pages import imports
from validators.feed import progress
from validators.ledger import open_ledger
from validators.services import cluster, network, nodes, wrong_codes

COMMANDS: dict[str, Callable[[], Command]] = {
    "issue": Issue,
    "seed": Seed,
    "validate": Validate,
    "consume": Consume,
    "admit": lambda: Admit(gate="north"),
    "dispute": Dispute,
    "clear": lambda: Resolve(verdict="clear"),
    "uphold": lambda: Resolve(verdict="uphold"),
    "block": KINDS["block"].command,
    "enter": KINDS["import_entry"].command,
    "enlist": lambda: AddPrincipal("newcomer", key_pair("newcomer")[0]),
}


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator", password="x"))
    return client


@pytest.fixture(autouse=True)
def every_code_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller gets a few explanations of wrong codes a second."""
    monkeypatch.setattr(wrong_codes, "HINTS_MAX", 1_000_000)


@pytest.fixture(autouse=True)
def _own_listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No page finds the listener of another test, which knows that one's sequence."""
    monkeypatch.setattr(progress, "_listener", None)
    yield
    if progress._listener is not None:
        progress._listener.close()


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Path:
    """A folder with a ledger that nothing was written to: migrating one costs half a second."""
    folder = tmp_path_factory.mktemp("empty-ledger")
    with django_db_blocker.unblock():
        cluster = cluster_id(make_genesis(4))
        open_ledger(folder, cluster_id=cluster, alias="empty_ledger", indexed=True).close()
    return folder


@pytest.fixture
def learner(tmp_path: Path, empty_ledger: Path, settings: Any, db: None) -> Iterator[RealLearner]:
    """Rows that pages and feed read, and the gateway that this process uses."""
    shutil.copytree(empty_ledger, tmp_path / "learner")
    settings.DATA = tmp_path / "data"
    found = RealLearner(tmp_path / "learner", make_genesis(4), feed_address(settings.DATA))
    network.use(found.gateway)
    nodes.register_nodes([member.id for member in found.gateway.genesis.members])
    cluster.reset_cluster()
    yield found
    network.use(None)
    found.close()


@pytest.fixture
def operate(learner: RealLearner) -> Callable[..., tuple[Result, ...]]:
    """operate("validate T-1", "admit T-2 NONCE"): one batch; each with its outcome."""

    def run(*lines: str, event: str = "default") -> tuple[Result, ...]:
        until = time.time_ns() // 1_000 + 60_000_000
        operations = [
            build(
                COMMANDS[(line + "  ").split(" ")[0]](),
                ticket=(line + "  ").split(" ")[1],
                nonce=(line + "  ").split(" ")[2].encode(),
                event=event,
                actor="desk",
                entry="r0",
                valid_until=until,
            )
            for line in lines
        ]
        return learner.gateway.submit(operations).result()

    return run


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What workers were asked to do."""
    found: list[tuple[int, str]] = []
    monkeypatch.setattr(imports, "send", lambda *words: found.append(words))
    return found


@pytest.fixture
def desk(learner: RealLearner, admin: Client) -> Client:
    return admin
