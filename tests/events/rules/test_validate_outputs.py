"""`dtvn validate`: several sources, complete runs, SARIF, JUnit and annotations."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring
from jsonschema import Draft4Validator, FormatChecker

from dtvn.cli import main
from dtvn.events.rules import SUGGESTIONS
from tests.events.rules.samples import event
from tests.events.rules.test_validate_command import BAD, GOOD, run, written

SCHEMA = Path(__file__).resolve().parents[2] / "vendor/sarif-schema-2.1.0.json"
UNFINISHED = GOOD[:1]


def stream(folder: Path, name: str, events: list[bytes]) -> Path:
    return written(folder, events).rename(folder / f"{name}.ndjson")


def sarif(*sources: object, folder: Path, **options: Any) -> tuple[int, dict[str, Any]]:
    """Exit code, and the one run of a log that fits the official schema."""
    target = folder / "found.sarif"
    code, _, _ = run(*sources, sarif=target, **options)
    log = json.loads(target.read_text("utf-8"))
    schema = json.loads(SCHEMA.read_text("utf-8"))
    assert log["$schema"] == schema["id"]
    Draft4Validator(schema, format_checker=FormatChecker()).validate(log)
    (only,) = log["runs"]
    return code, only


def test_the_schema_tells_a_wrong_log() -> None:
    validator = Draft4Validator(json.loads(SCHEMA.read_text("utf-8")))
    assert not validator.is_valid({"version": "2.1.0", "runs": [{"results": []}]})
    assert validator.is_valid({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}}]})


def test_sarif_names_file_line_rule_and_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stream(tmp_path, "a b", BAD)
    code, found = sarif("a b.ndjson", folder=tmp_path, skip=["advice"])
    assert code == 1
    (result,) = found["results"]
    assert (result["ruleId"], result["level"]) == ("MESSAGE_NOT_OPEN", "error")
    assert result["message"]["text"].startswith('Message "z" is not open. Open: "m". Give the messageId')
    (location,) = result["locations"]
    assert location == {
        "physicalLocation": {
            "artifactLocation": {"uri": "a%20b.ndjson"},
            "region": {"startLine": 4},
        },
        "logicalLocations": [{"fullyQualifiedName": "events[3].messageId", "kind": "member"}],
    }
    (rule,) = found["tool"]["driver"]["rules"]
    what_to_do = SUGGESTIONS["MESSAGE_NOT_OPEN"]
    assert (rule["id"], rule["help"]) == ("MESSAGE_NOT_OPEN", {"text": what_to_do})
    assert rule["shortDescription"] == {"text": "Message not open"}
    assert found["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]


def test_sarif_of_many_sources_is_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bad, cut = stream(tmp_path, "bad", BAD), stream(tmp_path, "cut", UNFINISHED)
    code, found = sarif(bad, cut, tmp_path / "gone", "-", folder=tmp_path, complete=True, skip=["advice"])
    assert code == 2
    rules = [rule["id"] for rule in found["tool"]["driver"]["rules"]]
    places = [
        (each["ruleId"], each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        for each in found["results"]
    ]
    assert places == [
        ("MESSAGE_NOT_OPEN", "bad.ndjson"),
        ("STREAM_NOT_TERMINATED", "cut.ndjson"),
        ("NO_RUN", "stdin"),
    ]
    assert [rules[each["ruleIndex"]] for each in found["results"]] == [code for code, _ in places]
    (invocation,) = found["invocations"]
    assert invocation["executionSuccessful"] is False
    (told,) = invocation["toolExecutionNotifications"]
    assert told["message"]["text"].endswith("gone: No such file or directory")
    elsewhere = sarif(bad.rename(tmp_path.parent / "elsewhere.ndjson"), folder=tmp_path)[1]
    (place,) = {
        each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in elsewhere["results"]
    }
    assert place == (tmp_path.parent / "elsewhere.ndjson").as_uri()


def test_a_finding_at_the_end_points_to_the_last_event(tmp_path: Path) -> None:
    _, found = sarif(stream(tmp_path, "cut", GOOD[:3]), folder=tmp_path)
    (result,) = found["results"]
    assert result["level"] == "warning"
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 3}


@pytest.mark.parametrize(
    ("events", "verdict", "code"),
    [
        ([], "valid, no run. 0 events", "NO_RUN"),
        (UNFINISHED, "valid, unfinished run. 1 event,", "STREAM_NOT_TERMINATED"),
        ([*GOOD, *UNFINISHED], "valid, unfinished run. 6 events,", "STREAM_NOT_TERMINATED"),
    ],
)
def test_what_is_not_complete_says_so_and_fails_if_asked(
    tmp_path: Path, events: list[bytes], verdict: str, code: str
) -> None:
    source = written(tmp_path, events)
    assert run(source)[0] == 0
    assert f"warning {code}" in run(source)[1]
    for options in ({}, {"skip": ["advice"]}, {"off": [(code,)]}, {"preset": "permissive"}):
        exit_code, out, _ = run(source, **options)
        assert exit_code == 0
        assert f"{source}: {verdict}" in out
        exit_code, out, _ = run(source, complete=True, **options)
        assert exit_code == 1
        assert f"{source}: NOT VALID, {verdict.removeprefix('valid, ')}" in out
        assert len(re.findall(f"^error {code}", out, re.MULTILINE)) == 1
        assert SUGGESTIONS[code] in out
        assert f"warning {code}" not in out
    found = json.loads(run(source, complete=True, json=True)[1])
    assert (found["valid"], found["complete"], found["code"]) == (False, False, code)


def test_a_complete_stream_passes(tmp_path: Path) -> None:
    source = written(tmp_path, [*GOOD, *GOOD])
    code, out, _ = run(source, complete=True, json=True)
    found = json.loads(out)
    assert (code, found["valid"], found["complete"], found["runs"]) == (0, True, True, 2)


@pytest.mark.parametrize("given", [{"skip": ["order"]}, {"preset": "testing"}])
def test_without_the_rules_of_order_nothing_is_known_of_runs(tmp_path: Path, given: dict[str, Any]) -> None:
    source = written(tmp_path, UNFINISHED)
    assert json.loads(run(source, json=True, **given)[1])["complete"] is None
    code, out, err = run(source, complete=True, **given)
    assert (code, out) == (2, "")
    assert err.startswith("dtvn validate: --complete needs the rules of order: no --skip order")


def test_each_source_is_judged_and_the_worst_decides(tmp_path: Path) -> None:
    good, bad = stream(tmp_path, "good", GOOD), stream(tmp_path, "bad", BAD)
    html = tmp_path / "page.html"
    html.write_text("<html>\n")
    assert run(good, good)[0] == 0
    code, out, _ = run(bad, good)
    assert code == 1
    assert out == run(bad)[1] + "\n" + run(good)[1]
    assert [line.split(". ")[0] for line in out.splitlines() if " LOCAL_ONLY" in line] == [
        f"{bad}: NOT VALID",
        f"{good}: valid",
    ]
    code, out, err = run(html, tmp_path / "gone", bad, good, json=True)
    assert code == 2
    assert err.splitlines() == [
        f"dtvn validate: {html}: neither server-sent events, nor JSON objects one a line, nor a JSON list",
        f"dtvn validate: cannot read {tmp_path / 'gone'}: No such file or directory",
    ]
    found = [json.loads(line) for line in out.splitlines()]
    assert [(each["source"], each["valid"]) for each in found] == [(str(bad), False), (str(good), True)]


def test_warnings_are_counted_over_all_sources(tmp_path: Path) -> None:
    one = stream(tmp_path, "one", [event("RS"), event("CU", name=""), event("RF")])
    assert run(one, one, max_warnings=2)[0] == 0
    code, _, err = run(one, one, max_warnings=1)
    assert (code, err) == (1, "dtvn validate: more than 1 warnings: 2\n")


def test_junit_has_a_suite_for_each_source(tmp_path: Path) -> None:
    target = tmp_path / "found.xml"
    good, bad, gone = stream(tmp_path, "good", GOOD), stream(tmp_path, "bad", BAD), tmp_path / "gone"
    assert run(good, bad, gone, junit=target, skip=["advice"])[0] == 2
    suites = fromstring(target.read_text("utf-8"))
    assert suites.tag == "testsuites"
    assert [(each.get("name"), each.get("failures"), each.get("errors")) for each in suites] == [
        (str(good), "0", "0"),
        (str(bad), "2", "0"),
        (str(gone), "0", "1"),
    ]
    assert "No such file" in suites[2][0][0].get("message")


def test_annotations_follow_the_text(tmp_path: Path) -> None:
    source = stream(tmp_path, "a,b", [*BAD[:3], event("TC:50%"), *BAD[4:]])
    text = run(source, skip=["advice"])[1]
    code, out, _ = run(source, skip=["advice"], output_format="github")
    assert code == 1
    (line,) = out.removeprefix(text).splitlines()
    place = str(source).replace(",", "%2C")
    assert line.startswith(
        f'::error file={place},line=4,title=MESSAGE_NOT_OPEN::Message "50%25" is not open.'
    )


HOSTILE = "::stop-commands::t\n::add-mask::a\x1b[31m\u202e\u2028##[error]"
"""A name that would stop the commands of a workflow, colour a terminal, and turn the text behind it."""


def test_names_from_streams_and_folders_are_printed_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    events = [event("RS", **{HOSTILE: 1, "n" * 900_000: 1}), event("RF")]
    written(tmp_path, events).rename(tmp_path / HOSTILE)
    code, out, _ = run(HOSTILE, HOSTILE + "gone")
    shown = r"::stop-commands::t\u000a::add-mask::a\u001b[31m\u202e\u2028##[error]"
    head, _, hostile, _, _, _, _, long, *_ = out.splitlines()
    assert code == 2
    assert head.startswith(f"{shown}: valid. 2 events, 0 errors, 2 warnings.")
    assert hostile.startswith(f"warning UNKNOWN_FIELD at event 0 (line 1), {shown}: RUN_STARTED has no field")
    assert len(long) < 400
    code, out, err = run(HOSTILE, HOSTILE + "gone", output_format="github")
    lines = [*out.split("\n"), *err.split("\n")]
    assert all(line.isprintable() for line in lines)
    assert [line.split()[0] for line in lines if line.startswith("::")] == ["::warning", "::warning"]
    commands = [
        line for line in lines if not line.startswith("::") and ("##[" in line or line.lstrip()[:2] == "::")
    ]
    assert commands == []
    assert shown.replace("::stop", ": :stop").replace("##[", "# #[") in out


def test_names_that_are_no_text_are_in_each_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, gone = (os.fsdecode(each) for each in (b"b\xff.ndjson", b"gone\xff.ndjson"))
    written(tmp_path, UNFINISHED).rename(name)
    target = tmp_path / "found.xml"
    code, found = sarif(name, gone, "http://127.0.0.1:1/\udcff", folder=tmp_path, junit=target)
    assert code == 2
    (result,) = found["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "b%FF.ndjson"}
    told, _ = found["invocations"][0]["toolExecutionNotifications"]
    assert told["message"]["text"] == r"cannot read gone\udcff.ndjson: No such file or directory"
    assert [each.get("name") for each in fromstring(target.read_text("utf-8"))][:2] == [
        r"b\udcff.ndjson",
        r"gone\udcff.ndjson",
    ]


def test_files_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    target = tmp_path / "no" / "found.sarif"
    code, out, err = run(written(tmp_path, GOOD), sarif=target)
    assert (code, err) == (2, f"dtvn validate: cannot write {target}: No such file or directory\n")
    assert ": valid. 5 events" in out


def test_the_options_are_those_of_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, target = written(tmp_path, GOOD), tmp_path / "found.sarif"
    given = ["--complete", "--sarif", str(target), "--output-format", "json", str(good), str(good)]
    assert main.run(["validate", *given]) == 0
    assert [json.loads(line)["runs"] for line in capsys.readouterr().out.splitlines()] == [1, 1]
    assert json.loads(target.read_text("utf-8"))["version"] == "2.1.0"
    assert main.run(["validate", "--json", str(good)]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == str(good)
