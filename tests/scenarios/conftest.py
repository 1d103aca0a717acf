"""`pytest tests/scenarios --rewrite` writes the transcripts anew; commit the difference only with a
sentence that says why it changed."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", default=False, help="write golden transcripts anew")
