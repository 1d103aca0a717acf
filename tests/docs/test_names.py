"""The table of names: what it says to exist does, and a name without a counterpart has a reason."""

from __future__ import annotations

import pytest

from tests.docs.names import Part, exists, parts


@pytest.mark.parametrize("part", parts(), ids=lambda part: part["about"])
def test_each_name_of_the_contract_has_its_python_name(part: Part) -> None:
    paths = [part["python"], *(f"{part['python']}.{name}" for name in part["same"])]
    paths += [other["python"] for other in part["others"].values() if other["python"]]
    assert [path for path in paths if not exists(path)] == []
    assert [name for name, other in part["others"].items() if not (other["python"] or other["why"])] == []


def test_a_name_that_is_gone_is_noticed() -> None:
    assert exists("dtvn.gateway:NodeInfo.load")
    assert not exists("dtvn.gateway:NodeInfo.lode")
    assert not exists("rule:NO_SUCH_RULE")
