"""Four members' folders below one, and the five steps as their operators type them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from io import StringIO
from pathlib import Path

from django.core.management import call_command

from dtvn.machine import TicketApplication
from dtvn.machine.keyring import KeyRing
from dtvn.node.epochs import membership_of
from dtvn.node.keys import VotedStamp
from dtvn.node.layout import ClusterFolder
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import Replica
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.wire import FrameSigner
from tests.host.support import key_pair
from tests.recovery.paper import Town
from validators.ledger import Ledger, open_ledger

SEVEN = [f"T-{number}" for number in range(7)]


class Steps:
    """Four members' folders below one, and the commands that their operators type."""

    def __init__(self, root: Path, town: Town) -> None:
        self.root = root
        self.data = ClusterFolder(root / "data")
        self.town = town
        self.names = [f"r{index}" for index in range(town.n)]

    def found(self) -> None:
        """Make keys and genesis of all members."""
        self.data.create()
        content = g.encode(self.town.genesis)
        self.data.genesis.write_bytes(content)
        for name in self.names:
            node = self.data.node(name)
            node.create()
            node.genesis.write_bytes(content)
            node.key.write_text(sha256(name.encode()).hexdigest())
            node.key.chmod(0o600)

    def copied(self, root: Path) -> Steps:
        """The same folders once more: making ledgers takes longer than all that is done with them."""
        shutil.copytree(self.root, root)
        return Steps(root, self.town)

    @contextmanager
    def ledger(self, name: str) -> Iterator[Ledger]:
        """A member's ledger, open and loaded."""
        folder = self.data.node(name)
        opened = open_ledger(
            folder.ledger,
            cluster_id=self.town.cluster,
            alias=f"steps_{name}",
            expect_existing=VotedStamp(folder.identity).present,
        )
        try:
            opened.load()
            yield opened
        finally:
            opened.close()

    @contextmanager
    def running(self) -> Iterator[Town]:
        """Yields the running cluster, whose disks are the members' ledgers."""
        with ExitStack() as stack:
            self.town.disks = [stack.enter_context(self.ledger(name)) for name in self.names]
            for name in self.names:
                VotedStamp(self.data.node(name).identity).write()
            yield self.town

    def lose(self, name: str) -> None:
        """The disk with the ledger is gone; the key is on another one."""
        shutil.rmtree(self.data.node(name).ledger)

    def run(self, step: str, *words: str, node: str = "") -> str:
        """One command; what it says."""
        out = StringIO()
        named = ["--id", node] if node else []
        call_command(
            "genesis", "recover", step, *words, *named, "--data-dir", str(self.data.root), stdout=out
        )
        return out.getvalue()

    def file(self, name: str) -> str:
        return str(self.root / name)

    def states(self, *vouchers: str) -> list[str]:
        """All tell; the files."""
        files = []
        for name in self.names:
            files.append(self.file(f"{name}.state"))
            self.run("state", *(["--vouch"] if name in vouchers else []), "--out", files[-1], node=name)
        return files

    def sign(self, name: str, *others: str) -> str:
        out = self.file(f"{name}.signed")
        shown = [self.file(f"{other}.signed") for other in others]
        self.run("sign", self.file("cup.plan"), *shown, "--out", out, node=name)
        return out

    def seal(self, *, vouchers: tuple[str, ...], late: tuple[str, ...] = ()) -> None:
        """Everything up to the sealed file; `late` are members whose log does not reach the plan."""
        self.run("plan", *self.states(*vouchers), "--out", self.file("cup.plan"))
        able = [name for name in self.names if name not in late]
        signed = [self.sign(name) for name in able] + [self.sign(name, *able) for name in late]
        self.run("seal", self.file("cup.plan"), *signed, "--out", self.file("cup.sealed"))

    def install(self, name: str) -> str:
        return self.run("install", self.file("cup.sealed"), node=name)


def admit_seven(steps: Steps) -> None:
    with steps.running() as town:
        town.issue_and_fill(SEVEN)
    copy = steps.root / "copy"
    shutil.copytree(steps.data.node("r3").ledger, copy)
    with steps.running() as town:
        sequences = [town.admit(ticket) for ticket in SEVEN]
        town.execute(0, sequences)
        town.execute(1, sequences[:2])
    steps.lose("r2")
    shutil.rmtree(steps.data.node("r3").ledger)
    shutil.copytree(copy, steps.data.node("r3").ledger)


def replayed(steps: Steps, ledger: Ledger, name: str) -> tuple[Replica, TicketApplication]:
    """The core of the ledger's epoch as the node makes it."""
    membership = membership_of(ledger, steps.town.genesis)
    application = TicketApplication(steps.town.genesis, steps.town.cluster)
    keys = KeyRing(application, membership)
    signer = FrameSigner(steps.town.cluster, key_pair(name)[1], keys)
    config = configuration.build(steps.town.genesis, steps.town.cluster, name, membership)
    core = Replica(config, signer, application, ledger.voting, ())
    recovery = ledger.load()
    application.load(recovery.rows)
    core.restore(recovery, Now(1, 1))
    return core, application
