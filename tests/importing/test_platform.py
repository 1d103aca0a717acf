"""Where a command finds the platform and its key: what is given, else the file of credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from tickets.importing.platform import PlatformUnknown, platform_of

KEPT = '{"url": "http://kept:8000/", "api_key": "kept"}'


def test_what_is_given_counts_before_what_is_kept(tmp_path: Path) -> None:
    given = platform_of(tmp_path, url="http://here:8000//", api_key="k")
    assert (given.url, given.api_key) == ("http://here:8000", "k")
    (tmp_path / "credentials.json").write_text(KEPT)
    kept = platform_of(tmp_path)
    assert (kept.url, kept.api_key) == ("http://kept:8000", "kept")
    other = platform_of(tmp_path, url="https://here/sub/")
    assert (other.url, other.api_key) == ("https://here/sub", "kept")


@pytest.mark.parametrize(
    ("content", "url", "said"),
    [
        (None, "", "does not exist: start a network with `make up`, or give --url and --api-key"),
        ("{", "", "cannot be read: "),
        ('{"url": "http://kept"}', "", "lacks 'api_key': start the network again"),
        (KEPT, "ftp://here", "ftp://here"),
        (KEPT, "http://[::1", "http://"),
    ],
)
def test_a_platform_that_cannot_be_found_is_said(
    content: str | None, url: str, said: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "credentials.json").write_text(content)
    with pytest.raises(PlatformUnknown) as unknown:
        platform_of(tmp_path, **({"url": url} if url else {}))
    assert said in str(unknown.value)
