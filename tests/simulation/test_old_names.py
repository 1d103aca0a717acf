"""Names of the simulator that were renamed are accepted for one release."""

from __future__ import annotations

import pytest

from simulator import old_names
from simulator.adversary import ADVERSARIES
from simulator.mutants import MUTANTS
from simulator.web.start_request import options_of, read_start_request
from simulator.worlds import WORLDS

TABLES = ((old_names.ADVERSARIES, ADVERSARIES), (old_names.WORLDS, WORLDS), (old_names.MUTANTS, MUTANTS))


@pytest.mark.parametrize(("renamed", "names"), TABLES, ids=["adversaries", "worlds", "mutants"])
def test_every_renamed_item_exists_under_its_new_name_only(
    renamed: dict[str, str], names: dict[str, object]
) -> None:
    assert set(renamed.values()) <= set(names)
    assert not set(renamed) & set(names)


def test_an_old_name_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    old_names._told.clear()
    for _ in range(2):
        assert old_names.current("usurper/omit", old_names.ADVERSARIES) == "view-change-forger/omit"
    assert old_names.current("mute", old_names.ADVERSARIES) == "mute"
    assert capsys.readouterr().err == (
        "usurper/omit is called view-change-forger/omit now; the old name ends with the next release\n"
    )


def test_a_body_may_name_an_adversary_in_the_old_form() -> None:
    assert options_of(read_start_request(b'{"adversary": "sluggard"}')).adversary == "slow-primary"
