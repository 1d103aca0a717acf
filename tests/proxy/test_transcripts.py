"""Transcripts of proxied streams: what is kept while they pass, and what becomes of it."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path

import pytest

from dtvn.proxy.judge import NoVerdict
from dtvn.proxy.transcripts import TranscriptFile
from tests.proxy.support import BAD, GOOD, answering, proxied, sse
from tests.proxy.test_cluster_judge import Platform, judged_by

pytestmark = pytest.mark.asyncio


class Maker(Platform):
    """Besides makes "transcripts": what it was asked for, as it came."""

    def __init__(self, covered: int) -> None:
        super().__init__()
        self.covered = covered
        self.asked: list[bytes] = []

    def answer(self, path: str, body: bytes) -> bytes:
        if path.endswith("/transcript"):
            self.asked.append(body)
            return body
        return json.dumps({"success": True, "data": self.end | {"events": self.covered}}).encode()


def made(folder: Path) -> dict[str, list[str]]:
    return json.loads((folder / "run-7.json").read_bytes())


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


@pytest.mark.parametrize("mode", ["observe", "mark", "refuse"])
async def test_a_stream_leaves_its_transcript(tmp_path: Path, mode: str) -> None:
    platform = Maker(len(BAD))
    async with (
        judged_by(platform, transcripts=tmp_path) as judge,
        proxied(answering(sse(BAD)), mode, judge=judge) as proxy,
    ):
        await proxy.post()
        await proxy.report()
    found = made(tmp_path)
    assert [text.encode() for text in found["texts"]] == BAD == platform.texts
    assert {len(base64.b64decode(salt)) for salt in found["salts"]} == {16}
    assert len(set(found["salts"])) == len(BAD)
    assert platform.salts == found["salts"]
    assert modes(tmp_path) == {"run-7.json": 0o600}


async def test_only_what_certificates_cover_is_in_it(tmp_path: Path) -> None:
    platform = Maker(2)
    async with judged_by(platform, transcripts=tmp_path) as judge:
        judgement = await judge.open()
        await judgement.judge(GOOD[:3])
        await judgement.judge(GOOD[3:])
        await judgement.close()
    assert [text.encode() for text in made(tmp_path)["texts"]] == GOOD[:2]


async def test_without_a_transcript_the_events_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(_body: bytes) -> bytes:
        raise NoVerdict("it is so")

    caplog.set_level(logging.WARNING, "dtvn.proxy")
    file = TranscriptFile(tmp_path, 7)
    file.add(GOOD)
    await file.make(len(GOOD), refuse)
    kept = [json.loads(line) for line in (tmp_path / "run-7.events").read_bytes().splitlines()]
    assert [each["text"].encode() for each in kept] == GOOD
    assert said(caplog) == [f"Run 7 gets no transcript: it is so. Its events are in {tmp_path}/run-7.events."]


async def test_what_cannot_be_kept_is_judged_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    platform = Maker(1)
    async with judged_by(platform, transcripts=tmp_path) as judge:
        for texts in ([b'"\xff"'], GOOD):  # no text; then a file is in the way
            judgement = await judge.open()
            assert len(await judgement.judge(texts)) == len(texts)
            await judgement.close()
            (tmp_path / "run-7.events").write_bytes(b"of another run")
            platform.stream.index = 0
    assert (tmp_path / "run-7.events").read_bytes() == b"of another run"
    reasons = [message.split(": ")[1] for message in said(caplog)]
    assert reasons == ["an event is not UTF-8.", "[Errno 17] File exists"]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "dtvn.proxy"]
