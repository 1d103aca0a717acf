"""The phi Accrual Failure Detector (SRDS 2004), sentence by sentence.

Each test quotes what it checks. The least deviation and the acceptable pause are not the paper's, and are as
good as switched off here but where a test names them.
"""

from __future__ import annotations

import math
import random
import statistics

import pytest

from dtvn.protocol.durations import SECOND
from dtvn.protocol.partitions import PhiAccrual, deviations_of, phi_of

ARRIVALS = [1.0, 1.2, 0.9, 1.05, 0.8, 1.15, 1.0, 0.95]
"""Seconds between heartbeats."""


def detector(*, window: int = 1_000, deviation_min: int = 1, pause: int = 0) -> PhiAccrual:
    return PhiAccrual(0, window=window, deviation_min=deviation_min, pause=pause)


def heard(found: PhiAccrual, intervals: list[float]) -> int:
    """Heartbeats at these intervals; returns the arrival of the last."""
    now = 0
    found.heard(now)
    for interval in intervals:
        now += round(interval * SECOND)
        found.heard(now)
    return now


def test_phi_is_the_logarithm_of_the_probability_of_a_later_heartbeat() -> None:
    """ "Then, the value of phi is calculated as follows. phi(t_now) = -log10(P_later(t_now - T_last))." 4.2,
    with "P_later(t) = 1/(sigma sqrt(2 pi)) integral from t to infinity of e^(-(x - mu)^2 / 2 sigma^2) dx = 1
    - F(t)"."""
    found = detector()
    last = heard(found, ARRIVALS)
    normal = statistics.NormalDist(statistics.fmean(ARRIVALS), statistics.pstdev(ARRIVALS))
    for silence in (0.5, 0.9, 1.0, 1.1, 1.3, 1.5):
        later = 1 - normal.cdf(silence)
        assert found.phi(last + round(silence * SECOND)) == pytest.approx(-math.log10(later), rel=1e-6)


@pytest.mark.parametrize(("threshold", "mistakes"), [(1, 0.1), (2, 0.01), (3, 0.001)])
def test_at_threshold_phi_the_share_of_mistakes_is_ten_to_the_minus_phi(
    threshold: int, mistakes: float
) -> None:
    """ "Given some threshold Phi, and assuming that we decide to suspect p when phi >= Phi = 1, then the
    likeliness that we will make a mistake (i.e., the decision will be contradicted in the future by the
    reception of a late heartbeat) is about 10%. The likeliness is about 1% with Phi = 2, 0.1% with Phi = 3,
    and so on." 4.2."""
    chance, found, count = random.Random(threshold), detector(), 200_000
    drawn = [max(0.0, chance.gauss(1.0, 0.1)) for _ in range(count)]
    heard(found, drawn[:1_000])
    limit = found.limit(deviations_of(threshold)) / SECOND
    wrong = sum(interval >= limit for interval in drawn) / count
    assert wrong == pytest.approx(mistakes, rel=0.35)


def test_a_process_that_crashed_is_suspected_without_bound() -> None:
    """ "Property 1 (Asymptotic completeness) If process p is faulty, then the suspicion level sl_qp(t) tends
    to infinity as time goes to infinity." 3.2."""
    found = detector(deviation_min=SECOND // 10)
    last = heard(found, ARRIVALS)
    levels = [found.phi(last + minutes * 60 * SECOND) for minutes in (1, 10, 100, 1_000)]
    assert levels == sorted(levels)
    assert levels[-1] > 1e9


def test_a_process_that_crashed_is_suspected_more_and_more() -> None:
    """ "Property 2 (Eventual monotony) If process p is faulty, then there is a time after which sl_qp(t) is
    monotonic increasing." 3.2."""
    found = detector()
    last = heard(found, ARRIVALS)
    levels = [found.phi(last + tenth * SECOND // 10) for tenth in range(600)]
    assert levels == sorted(levels)


def test_a_heartbeat_resets_the_suspicion_of_a_correct_process() -> None:
    """ "Property 4 (Reset) If process p is correct, then for any time t0, sl_qp(t) = 0 for some time t >=
    t0." 3.2. Just after a heartbeat that is 0 but for the normal distribution's left tail."""
    found = detector()
    last = heard(found, ARRIVALS)
    assert found.phi(last + 3 * SECOND) > 30
    found.heard(last + 3 * SECOND)
    assert found.phi(last + 3 * SECOND) < 0.1


def test_the_window_keeps_the_newest_samples() -> None:
    """The distribution is estimated from a window of the newest arrivals, of fixed size."""
    found, fresh = detector(window=4), detector(window=4)
    last = heard(found, [9.0, 0.1, 7.0, *ARRIVALS[:4]])
    alone = heard(fresh, ARRIVALS[:4])
    assert found.samples == 4
    assert found.phi(last + 2 * SECOND) == pytest.approx(fresh.phi(alone + 2 * SECOND))


def test_a_pause_and_a_least_deviation_bear_what_the_distribution_does_not_know() -> None:
    """Not of the paper: with perfectly regular heartbeats the first one that is lost would be a crash."""
    strict, calm = detector(), detector(deviation_min=SECOND // 10, pause=3 * SECOND)
    last = heard(strict, [1.0] * 20)
    heard(calm, [1.0] * 20)
    assert strict.phi(last + 2 * SECOND) > 1_000
    assert calm.phi(last + 2 * SECOND) == pytest.approx(0)
    assert calm.phi(last + 4 * SECOND) == pytest.approx(-math.log10(0.5)), "the mean and the pause"
    assert calm.limit(deviations_of(8)) == pytest.approx(4.56 * SECOND, rel=0.01)


def test_absences_are_no_samples() -> None:
    found = detector()
    last = heard(found, ARRIVALS)
    found.skip()
    found.heard(last + 3_600 * SECOND)
    assert found.samples == len(ARRIVALS)
    found.heard(last + 3_601 * SECOND)
    assert found.samples == len(ARRIVALS) + 1


@pytest.mark.parametrize("threshold", [0.01, 0.5, 1, 3, 8, 12, 100, 196, 197, 1_000])
def test_deviations_are_the_inverse_of_phi(threshold: float) -> None:
    found = deviations_of(threshold)
    assert phi_of(found) == pytest.approx(threshold, rel=1e-6)
    assert phi_of(found * (1 - 1e-9) if found > 0 else found - 1e-9) <= phi_of(found)
