"""docs/understand/protocol/core.md tells of every file of the core, and of none that is gone."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "understand" / "protocol" / "core.md"


def test_the_page_names_every_module_of_the_core_and_no_other() -> None:
    named = set(re.findall(r"`(\w+\.py)`", PAGE.read_text(encoding="utf-8")))
    assert named == {path.name for path in (ROOT / "dtvn" / "protocol" / "consensus").glob("*.py")}
