"""The lines that `make up` prints of a network."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TextIO

import pytest

from validators.processes.output import JsonOutput, Output

SEVERAL = 2_000


def test_output_lines_are_complete_in_order_and_name_their_source(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        made = Output(5, stream)
        for number in range(SEVERAL):
            made.say("up", str(number))
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == [f"up    | {number}" for number in range(SEVERAL)]


def test_a_closed_output_pipe_is_no_error() -> None:
    """`make up | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        Output(2, stream).say("up", "x")


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_a_closed_descriptors_number_is_never_written_to(stream: TextIO | None) -> None:
    """`make up >&-` closes standard output; a file opened later may get its number."""
    Output(2, stream).say("up", "x")


def test_characters_that_the_stream_cannot_encode_are_escaped(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        Output(2, stream).say("up", "Zoë")
    assert (tmp_path / "log").read_text() == "up | Zo\\xeb\n"


def test_as_json_each_line_is_one_object_that_names_its_process(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        made = JsonOutput(stream)
        for text in ('{"level":"error","message":"m"}', "Traceback:", "{not json", '["no object"]'):
            made.say("web", text)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[0] == {"process": "web", "level": "error", "message": "m"}
    assert [line["message"] for line in lines[1:]] == ["Traceback:", "{not json", '["no object"]']
    assert {line["process"] for line in lines} == {"web"}
