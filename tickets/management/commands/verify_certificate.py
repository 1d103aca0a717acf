"""`manage.py verify_certificate CERT --genesis CHAIN`: what a certificate proves, or what is wrong."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dtvn.files.whole import whole_file
from dtvn.proof import (
    CERTIFICATE,
    CHAIN,
    FILE_BYTES_MAX,
    Chain,
    Code,
    ProofError,
    Proved,
    compare,
    decode_certificate,
    read_bounded,
    read_chain,
    read_file,
    verify,
)

EXIT_REFUSED = 1
EXIT_REPEAT = 3
PIN_FORMAT = "dtvn-pin/1"
PIN_BYTES_MAX = FILE_BYTES_MAX[CHAIN]
"""A pin is much smaller than the chain link that it belongs to."""


class Command(BaseCommand):
    help = (
        "Check the certificate of an outcome against an epoch chain, without a server: what does it prove? "
        "Exit codes: 0 valid, 1 not valid, or it contradicts the one given with --against, 2 wrong usage, "
        "3 valid, and a repeat: no admission."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("certificate", type=Path, help="file from GET /api/v1/tickets/{id}/certificate")
        parser.add_argument(
            "--genesis",
            type=Path,
            required=True,
            metavar="CHAIN",
            help="the epoch chain (GET /api/v1/epochs) or a genesis.bin, from a source you trust",
        )
        parser.add_argument(
            "--against", type=Path, help="another certificate; if they contradict, show which members lied"
        )
        parser.add_argument(
            "--pin",
            type=Path,
            help="file that remembers known epochs; a chain that contradicts it is refused",
        )

    def handle(self, **options: Any) -> None:
        try:
            chain = read_chain(read_file(CHAIN, options["genesis"]))
            if options["pin"]:
                _pin(options["pin"], chain)
            found = _verify(options["certificate"], chain)
            self._say(found.sentences())
            if options["against"]:
                other = _verify(options["against"], chain)
                self._say(["", *other.sentences(), ""])
                self._compare(found, other)
            elif found.first:
                sys.exit(EXIT_REPEAT)
        except ProofError as error:
            raise CommandError(f"not proved: {error.coded()}", returncode=EXIT_REFUSED) from error

    def _compare(self, found: Proved, other: Proved) -> None:
        contradiction = compare(found, other)
        if contradiction is None:
            self._say(["both can be true"])
            return
        raise CommandError("\n".join(contradiction.sentences()), returncode=EXIT_REFUSED)

    def _say(self, lines: list[str]) -> None:
        self.stdout.write("\n".join(lines))


def _verify(path: Path, chain: Chain) -> Proved:
    return verify(decode_certificate(read_file(CERTIFICATE, path)), chain)


def _pin(path: Path, chain: Chain) -> None:
    """Refuse a chain that contradicts the pin, and pin its new links."""
    pins: list[bytes] = []
    if os.path.exists(path):  # os.path.exists returns False where it lacks permission; Path.exists raises
        content = read_bounded(path, PIN_BYTES_MAX)
        try:
            if len(content) > PIN_BYTES_MAX:
                raise ValueError("size")
            held = json.loads(content)
            pins = [bytes.fromhex(link) for link in held["epochs"]]
            if held["format"] != PIN_FORMAT:
                raise ValueError("format")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ProofError(Code.WRONG_FILE, "pin", f"{path} is not a pin file") from error
    links = [link.hex() for link in chain.pinned(pins)]
    try:
        with whole_file(path, replace=True, mode=0o666) as file:
            file.write(json.dumps({"format": PIN_FORMAT, "epochs": links}).encode() + b"\n")
    except OSError as error:
        said = f"{path} cannot be written: {error.strerror}"
        raise ProofError(Code.UNWRITABLE, str(path), said) from error
