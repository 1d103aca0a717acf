"""`manage.py epochs [--out FILE]`: the epoch chain as this platform knows it, verified."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dtvn.api.errors import TicketError
from dtvn.proof import Chain, shown
from dtvn.protocol import quorum

EXIT_NOTHING_DONE = 2


class Command(BaseCommand):
    help = (
        "Show the members of each epoch, from verified epoch change proofs. --out writes the chain that "
        "verify_certificate and the stand-alone verifiers take. Reads the platform's own copy of the log; no "
        "node needs to run. Exit codes: 0 shown, 2 not known, or the file cannot be written."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--out", type=Path, help="write the chain to this file")

    def handle(self, **options: Any) -> None:
        from validators.services.epochs import epoch_chain, known_chain  # imports models

        try:
            chain, content = known_chain(), epoch_chain()
        except TicketError as error:
            raise CommandError(str(error), returncode=EXIT_NOTHING_DONE) from error
        self.stdout.write("\n".join(_lines(chain)))
        if options["out"]:
            try:
                options["out"].write_bytes(content)
            except OSError as error:
                text = f"{options['out']} cannot be written: {error.strerror}"
                raise CommandError(text, returncode=EXIT_NOTHING_DONE) from error


def _lines(chain: Chain) -> list[str]:
    return [
        f"epoch {number} from sequence {epoch.after + 1}: "
        f"{', '.join(shown(member.id) for member in epoch.members)} "
        f"({quorum.fault_tolerance_sentence(len(epoch.members), chain.mode)})"
        for number, epoch in enumerate(chain.epochs)
    ]
