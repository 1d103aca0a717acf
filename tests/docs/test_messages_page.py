"""docs/protocol/messages.md lists exactly the messages that exist, with the family that signs them."""

from pathlib import Path

from validators.consensus import messages

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol" / "messages.md"


def rows() -> dict[str, list[str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {row[0]: row for row in cells if row[0] != "name"}


def test_the_page_lists_every_message_and_no_other() -> None:
    assert sorted(rows()) == sorted(message.__name__ for message in messages.KINDS.values())


def test_the_page_says_who_signs() -> None:
    for message in messages.KINDS.values():
        expected = {True: "link", False: "principal" if message is messages.Bundle else "replica"}
        assert rows()[message.__name__][4] == expected[message in messages.LINK], message.__name__
