"""A front end of the Go DTVN's kind, served by a supervisor."""

from __future__ import annotations

from pathlib import Path

from django.test import Client, override_settings


def test_files_are_served_as_the_seed_serves_them(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><title>page</title>")
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "app.js").write_text("export {};")
    with override_settings(WHITENOISE_ROOT=str(tmp_path), WHITENOISE_INDEX_FILE=True):
        client = Client()
        index, moved, script = (client.get(path) for path in ("/", "/index.html", "/js/app.js"))
    said = [b"".join(answer.streaming_content) for answer in (index, script)]  # type: ignore[attr-defined]
    assert said == [b"<!doctype html><title>page</title>", b"export {};"]
    assert (moved.status_code, moved.headers["Location"]) == (301, "./")
    assert script.headers["Content-Type"].startswith("text/javascript")
    for answer in (index, moved, script):
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]
