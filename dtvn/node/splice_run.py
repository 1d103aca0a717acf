"""The life of a splice's process (`manage.py splice`): its key, its ports and who is allowed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from dtvn.net import KeyFileError, ensure_seed, format_multiaddr
from dtvn.net.splice import Limits, PortBook, Splice
from dtvn.node.keys import peer_id
from dtvn.node.listening import raise_file_limit
from dtvn.node.options import StartError
from dtvn.node.splice_allowed import Allowed

FILES_WANTED = 16_384
FIGURES = 60.0
"""Seconds between two lines with figures, if they changed."""


def splice_of(options: Mapping[str, Any], tell: Callable[[str], None]) -> tuple[Splice, Allowed]:
    """A splice as the command's options say (validators/management/commands/splice.py); raise StartError."""
    folder: Path = options["data_dir"]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seed = ensure_seed(folder / "splice.key")
        low, _, high = options["ports"].partition("-")
        if not (low.isdecimal() and high.isdecimal()):
            raise ValueError(f"--ports {options['ports']!r} is not LOW-HIGH")
        ports = PortBook(int(low), int(high), folder / "ports.json")
        allowed = Allowed(options["genesis"], options["allow"], options["allow_file"])
    except (OSError, ValueError, KeyFileError) as error:
        raise StartError(f"{error}") from error
    if not allowed() and options["allow_file"] is None:
        raise StartError("Nobody may register: give --genesis, --allow or --allow-file.")
    rate = options["mib_a_second"]
    given = {name: options[name] for name in ("splices_a_key", "splices_an_address", "dials_a_second")}
    given["bytes_a_second"] = None if rate is None else rate * 2.0**20
    if any(value is not None and value <= 0 for value in given.values()):
        raise StartError("The bounds of a splice are positive numbers.")
    limits = Limits(**{name: value for name, value in given.items() if value is not None})
    return Splice(seed, ports, allowed, public=options["public"], limits=limits, tell=tell), allowed


async def run_splice(options: Mapping[str, Any], tell: Callable[[str], None]) -> None:
    """Run a splice until SIGINT or SIGTERM. `tell` receives its multiaddr, registrations and figures, a line
    each. Raise StartError."""
    raise_file_limit(FILES_WANTED)
    splice, allowed = splice_of(options, tell)
    try:
        port = await splice.begin(options["host"], options["port"])
    except OSError as error:
        place = f"{options['host']}:{options['port']}"
        raise StartError(f"Cannot listen on {place}: {os.strerror(error.errno or 0)}.") from error
    told = options["public"] or options["host"]
    tell(f"splice at {format_multiaddr(told, port, peer_id(splice.key))}")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    reporting = asyncio.ensure_future(_report(splice, allowed, tell))
    await stopped.wait()
    reporting.cancel()
    await splice.close()


async def _report(splice: Splice, allowed: Allowed, tell: Callable[[str], None]) -> None:
    """Say once a minute what was done, if something was."""
    before, trouble = "", ""
    while True:
        if allowed.trouble != trouble and (trouble := allowed.trouble):
            tell(trouble)
        figures = splice.figures
        done = msgspec.structs.asdict(figures) | {"refused": dict(figures.refused)}
        said = {"listeners": len(splice.registered), "open": splice.splices, **done}
        if (now := msgspec.json.encode(said).decode()) != before:
            if before:
                tell(now)
            before = now
        await asyncio.sleep(FIGURES)
