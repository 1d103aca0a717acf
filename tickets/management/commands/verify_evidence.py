"""`manage.py verify_evidence FILE --genesis CHAIN`: whom a piece of evidence convicts, and of what."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dtvn.proof import CHAIN, EVIDENCE, ProofError, read_chain, read_file
from dtvn.proof.evidence import convict

EXIT_REFUSED = 1


class Command(BaseCommand):
    help = (
        "Check an evidence file against an epoch chain, without a server, and name the convicted member. "
        "Exit codes: 0 a member is convicted, 1 none is, 2 wrong usage."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("evidence", type=Path, help="file from the admin or `manage.py audit --out`")
        parser.add_argument("--genesis", type=Path, required=True, metavar="CHAIN", help="the epoch chain")

    def handle(self, **options: Any) -> None:
        try:
            chain = read_chain(read_file(CHAIN, options["genesis"]))
            found = convict(read_file(EVIDENCE, options["evidence"]), chain)
        except ProofError as error:
            raise CommandError(f"not proved: {error.coded()}", returncode=EXIT_REFUSED) from error
        self.stdout.write(found.sentence())
