"""docs/use/api.md names every code with its status, and every route."""

import re
from collections import defaultdict
from pathlib import Path

from dtvn.machine import REASONS
from tests.api.test_permissions import ROUTES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "use" / "api.md").read_text(encoding="utf-8")


def test_every_code_is_in_the_row_of_its_status() -> None:
    rows: defaultdict[int, str] = defaultdict(str)
    for status, text in re.findall(r"^\| (\d{3}) \|(.*)$", PAGE, re.MULTILINE):
        rows[int(status)] += text
    for reason in REASONS.values():
        if reason.status != 200:
            assert f"`{reason.code}`" in rows[reason.status], reason.code


def test_every_route_is_named() -> None:
    text = PAGE.replace("{id}", "T").replace("{ticket_id}", "T")
    for _method, path, _scope in ROUTES:
        tail = path.removeprefix("/api/v1").replace("/r0", "/T").replace("/r9", "/T")
        assert tail in text or tail.rsplit("/", 1)[-1] in text, path
