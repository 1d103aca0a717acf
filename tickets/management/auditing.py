"""`manage.py audit`: what it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from dtvn.proof import CHAIN, Chain, ProofError, evidence_json, read_chain, read_file
from dtvn.proof.audit import Audit, Fork, find_forks
from dtvn.proof.evidence import Conviction
from dtvn.wording import counted
from validators.ledger.archive import ArchiveError, open_archives

EXIT_FORKED = 1
EXIT_UNREADABLE = 2

Culprits = dict[str, list[tuple[Conviction, bytes]]]


class Auditing:
    """One audit."""

    def __init__(self, stdout: OutputWrapper) -> None:
        self.stdout = stdout

    def run(self, options: dict[str, Any]) -> None:
        """Compare, and tell; raises CommandError, or SystemExit if anything was found."""
        try:
            chain = read_chain(read_file(CHAIN, options["genesis"]))
            archives = [each for place in options["ledgers"] for each in open_archives(place, chain.cluster)]
            forks = find_forks({archive.name: archive.entry_hashes() for archive in archives})
            audit = Audit(chain)
            contradictions: dict[str, str] = {}
            for archive in archives:
                audit.add(archive.frames(first=min((fork.sequence for fork in forks), default=0)))
                if (found := archive.contradiction()) is not None:
                    contradictions[archive.name], frames = found
                    audit.add(frames)
        except (ProofError, ArchiveError, OSError) as error:
            raise CommandError(f"nothing was audited: {error}", returncode=EXIT_UNREADABLE) from error
        culprits = audit.culprits()
        if options["out"]:
            try:
                write_files(options["out"], culprits)
            except OSError as error:
                text = f"no evidence was written: {error}"
                raise CommandError(text, returncode=EXIT_UNREADABLE) from error
        if options["json"]:
            self.stdout.write(json.dumps(_report(audit, forks, contradictions, culprits)))
        else:
            self._tell(chain, audit, forks, contradictions, culprits)
        if forks or contradictions or culprits:
            raise SystemExit(EXIT_FORKED)

    def _tell(
        self,
        chain: Chain,
        audit: Audit,
        forks: list[Fork],
        contradictions: dict[str, str],
        culprits: Culprits,
    ) -> None:
        self.stdout.write(f"{audit.statements} signed statements of cluster {chain.name} were compared")
        for fork in forks:
            self.stdout.write(f"fork: {fork.one} and {fork.other} differ from sequence {fork.sequence} on")
        for name, sentence in contradictions.items():
            self.stdout.write(f"contradiction: {name} reports that {sentence}")
        for name, pieces in culprits.items():
            self.stdout.write(f"{name}: {counted(len(pieces), 'proof')}, the first:")
            self.stdout.write(f"  {pieces[0][0].sentence()}")
        if not culprits:
            self.stdout.write("no member is convicted")
        needed = audit.needed(forks)
        if forks and len(culprits) < needed:
            lacking = (
                f"a fork needs {needed} Byzantine members: ledgers of more members may convict the others"
            )
            self.stdout.write(lacking)


def write_files(folder: Path, culprits: Culprits) -> None:
    """Write each piece of evidence into a file of its own. A member's name is safe in a file's name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, pieces in culprits.items():
        for number, (found, data) in enumerate(pieces):
            (folder / f"{name}-{number:02}-{found.code}.json").write_bytes(evidence_json(data))


def _report(
    audit: Audit, forks: list[Fork], contradictions: dict[str, str], culprits: Culprits
) -> dict[str, Any]:
    return {
        "statements": audit.statements,
        "forks": [{"sequence": fork.sequence, "ledgers": [fork.one, fork.other]} for fork in forks],
        "contradictions": contradictions,
        "needed": audit.needed(forks),
        "culprits": {
            name: [found.sentence() for found, _data in pieces] for name, pieces in culprits.items()
        },
    }
