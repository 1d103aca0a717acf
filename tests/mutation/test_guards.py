"""Tests notice each wrong comparison on which a proof rests (R13, R24, R33, R35; P4)."""

from __future__ import annotations

import pytest

from tests.mutation import guards
from tests.mutation.guards import EQUIVALENT, SUBJECTS, hunt
from tests.mutation.planting import mutants_of


@pytest.mark.exhaustive
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("module", SUBJECTS)
def test_every_wrong_guard_is_noticed_by_the_tests_of_its_module(module: str) -> None:
    surviving = {mutant.name for mutant in hunt(module)}
    assert surviving == {name for name in EQUIVALENT if name.startswith(f"{module}.")}


def test_a_wrong_guard_without_a_test_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "dtvn.protocol.consensus.epoch_change_proof"
    monkeypatch.setitem(SUBJECTS, module, guards.Subject(("tests/host/test_quorum.py",)))
    assert [each.function for each in hunt(module, "epoch_change_proof.sealed")] == ["sealed"] * 2


def test_the_functions_of_a_subject_exist() -> None:
    """One that was renamed would have no mutants, and nobody would notice."""
    for module, subject in SUBJECTS.items():
        if not subject.django:
            assert next(mutants_of(module, subject.functions))
    with pytest.raises(LookupError, match="has no gone"):
        next(mutants_of("dtvn.protocol.consensus.new_view", frozenset({"gone", "plan"})))


def test_a_guard_is_planted_with_each_of_its_mutations() -> None:
    planted = {
        each.place.change
        for each in mutants_of("dtvn.protocol.consensus.new_view", frozenset({"check_view_change"}))
    }
    window = "previous < found.sequence <= low + config.watermark_span"
    assert {change.removeprefix(f"{window} -> ") for change in planted if change.startswith(window)} == {
        "True",
        "False",
        "previous <= found.sequence <= low + config.watermark_span",
        "previous < found.sequence < low + config.watermark_span",
        "previous != found.sequence <= low + config.watermark_span",
        "previous < found.sequence == low + config.watermark_span",
        "previous < found.sequence",
        "found.sequence <= low + config.watermark_span",
    }
