"""Live and ready probes of a real node."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.contract_nodes import Node, single
from tests.waiting import wait_until

# On PostgreSQL a ledger has no files.
pytestmark = [pytest.mark.integration, pytest.mark.embedded_only]


@pytest.mark.exhaustive
def test_3600_probes_of_a_node_need_no_key_and_write_nothing(tmp_path: Path) -> None:
    with single(tmp_path / "data") as node:
        node.wait_deciding()
        _probes_write_nothing(node)


def _probes_write_nothing(node: Node) -> None:
    ledger = node.data / "nodes" / node.name / "ledger"

    def written() -> dict[str, int]:
        """When the files were, through which each write of the ledger goes."""
        files = [*ledger.glob("*.turns"), *ledger.glob("*-wal")]
        assert len(files) == 2
        return {file.name: file.stat().st_mtime_ns for file in files}

    def probe(times: int) -> set[str]:
        answers = [node.http.get(path) for path in ("/live", "/ready") * times]
        assert {answer.status_code for answer in answers} == {200}
        return {answer.text for answer in answers}

    def written_last() -> tuple[dict[str, int], set[str]] | None:
        """Once the rows of what was ordered before are written, and its sequence is known to the helper."""
        before, said = written(), probe(50)
        ready = f'{{"status":"ready","sequence":{node.stats()["sequence"]},'
        present = said - {'{"status":"live"}'}
        shown = len(present) == 1 and present.pop().startswith(ready)
        return (before, said) if before == written() and shown else None

    found = wait_until(written_last, what="nothing is written any more", pause=0)
    assert found is not None
    before, said = found
    assert probe(1_800) == said
    assert written() == before
    node.act("validate", "NOT-THERE")
    assert written() != before, "an operation writes"
