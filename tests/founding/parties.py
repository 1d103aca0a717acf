"""Parties that found a cluster together, each with a data folder of its own and files by mail."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command

from dtvn.node.layout import ClusterFolder

NOWHERE = (
    *("0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "ff02::1"),  # noqa: S104
    *("169.254.1.1", "fe80::1", "255.255.255.255"),
)
"""Addresses at which no other member reaches this host."""


class Said:
    """Output and exit of `manage.py genesis`."""

    def __init__(self, *arguments: Any) -> None:
        out, err = io.StringIO(), io.StringIO()
        self.code, self.error = 0, ""
        try:
            call_command("genesis", *(str(argument) for argument in arguments), stdout=out, stderr=err)
        except CommandError as error:
            self.code, self.error = error.returncode, str(error)
        self.text, self.warnings = out.getvalue(), err.getvalue()


class Party:
    """One party on a host of its own; `desk` holds the file as it has it."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.data = root / name / "data"
        self.file = root / name / "cup.genesis"
        self.folder = ClusterFolder(self.data)

    def receives(self, file: Path) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(file.read_bytes())

    def joins(self, port: int, *more: str) -> Said:
        place = ("--data-dir", self.data, "--id", self.name, "--host", "127.0.0.1", "--port", port)
        return Said("join", self.file, *place, *more)

    def seals(self, *others: Path, more: tuple[str, ...] = ()) -> Said:
        """Seals a genesis with or without grants: test_sealing_grants tests the difference."""
        return Said("seal", self.file, *others, "--data-dir", self.data, "--without-grants", *more)


def found(
    root: Path,
    ports: dict[str, int],
    grants: dict[str, tuple[str, ...]] | None = None,
    more: tuple[str, ...] = (),
) -> list[Party]:
    """A cluster of these parties, sealed by all and installed in each data folder. `more`: options of
    `init`."""
    parties = [Party(root, name) for name in ports]
    draft = root / "draft.genesis"
    assert Said("init", "--name", "Cup final", "--members", len(ports), "--out", draft, *more).code == 0
    for party in parties:
        party.receives(draft)
        options = [word for grant in (grants or {}).get(party.name, ()) for word in ("--grant", grant)]
        assert party.joins(ports[party.name], *options).code == 0
    for party in parties:
        assert party.seals(*(other.file for other in parties)).code == 0
    for party in parties:
        said = party.seals(*(other.file for other in parties))
        assert "sealed by all" in said.text, said.text
    return parties
