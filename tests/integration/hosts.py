"""Hosts of several parties on one machine: each a network namespace with an address of its own.

Where no namespace can be made (no root, no `ip`), they are distinct loopback addresses of this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

NETWORK = f"10.77.{os.getpid() % 256}"
TOGETHER, APART = "switch", "apart"
"""Bridges in the namespace of the switch: nothing goes from one to the other."""


class Host(msgspec.Struct, frozen=True):
    """One party's machine."""

    address: str
    """The address at which the other hosts reach it."""
    enter: tuple[str, ...] = ()
    """Words before a command that runs there."""
    switch: str = ""
    """Namespace of the switch that joins it to the others; "" if it has no network of its own."""
    port: str = ""
    """Its port there."""

    @property
    def separate(self) -> bool:
        """Whether it has a network of its own."""
        return bool(self.enter)


@contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """That many hosts, joined by a switch; their namespaces are deleted afterwards. Two processes that have
    hosts at once use different networks, since both may `join` theirs."""
    switch = f"dtvn{os.getpid()}"
    names = [f"{switch}-{at}" for at in range(count)]
    made: list[str] = []
    try:
        if not _ip("netns", "add", switch, known=made, name=switch):
            yield [Host(f"127.0.0.{11 + at}") for at in range(count)]
            return
        for bridge in (TOGETHER, APART):
            _must("-n", switch, "link", "add", bridge, "type", "bridge")
            _must("-n", switch, "link", "set", bridge, "up")
        for at, name in enumerate(names):
            assert _ip("netns", "add", name, known=made, name=name)
            _must(
                "-n", switch, "link", "add", f"p{at}", "type", "veth", "peer", "name", "eth0", "netns", name
            )
            _must("-n", switch, "link", "set", f"p{at}", "master", TOGETHER, "up")
            _must("-n", name, "address", "add", f"{NETWORK}.{11 + at}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _must("-n", name, "link", "set", device, "up")
        yield [
            Host(f"{NETWORK}.{11 + at}", ("ip", "netns", "exec", name), switch, f"p{at}")
            for at, name in enumerate(names)
        ]
    finally:
        for name in made:
            _must("netns", "delete", name)


def cut(group: Iterable[Host]) -> None:
    """Cut these hosts off from all others from now on, not from each other. What is under way is lost without
    a word, as when a cable is pulled."""
    _plug(group, APART)


def heal(group: Iterable[Host]) -> None:
    """Undo `cut`."""
    _plug(group, TOGETHER)


def _plug(group: Iterable[Host], bridge: str) -> None:
    for host in group:
        _must("-n", host.switch, "link", "set", host.port, "master", bridge)


def join(host: Host) -> None:
    """Give this process, and the browser that it starts, a link to the switch of this host, which is never
    cut off; it ends with the switch."""
    name = f"{host.switch[:10]}t"
    _must(
        "-n",
        host.switch,
        "link",
        "add",
        "pt",
        "type",
        "veth",
        "peer",
        "name",
        name,
        "netns",
        str(os.getpid()),
    )
    _must("-n", host.switch, "link", "set", "pt", "master", TOGETHER, "up")
    _must("address", "add", f"{NETWORK}.250/24", "dev", name)
    _must("link", "set", name, "up")


def _ip(*words: str, known: list[str], name: str) -> bool:
    """Run `ip`; note the namespace `name` if that worked."""
    if shutil.which("ip") is None:
        return False
    if subprocess.run(["ip", *words], capture_output=True, check=False).returncode:
        return False
    known.append(name)
    return True


def _must(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)


def run_on(host: Host, words: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run a program on this host to its end."""
    return subprocess.run([*host.enter, *words], text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]
