"""Cases of the contract for agent events over real nodes, of which some lie: `lying_node` is the program of a
node but for its votes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from dtvn.events.config import Algorithm, ConsensusConfig, DistributedValidatorConfig, PartitionHandlerConfig
from dtvn.gateway import (
    AsyncDistributedValidator,
    DistributedValidator,
    Gateway,
    Given,
    Owing,
    ValidationResult,
)
from tests.events.rules.samples import event
from tests.integration.lying_node import A_LIE, LIE, MUTE, PRAISE, thread
from tests.integration.node_cluster import Cluster, running_cluster
from tests.waiting import allowed, wait_until

pytestmark = pytest.mark.integration

WAIT = 2.0
"""Seconds for a verdict: `validation_timeout`."""
RUNS = 50
AT_ONCE = 5.0
"""Seconds within which so many runs that begin at once have their verdicts."""
GOOD = (event("RS:r", threadId="t"), event("TS:m"), event("TC:m"), event("TE:m"), event("RF:r", threadId="t"))
BAD = (*GOOD[:3], event("TE:unknown"), *GOOD[3:])
WRONG_AT = 3


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Gateway]]:
    """Three nodes, as the contract has them; 1 and 2 lie where a run's thread says so."""
    with running_cluster(tmp_path_factory.mktemp("three") / "data", 3, liars=(1, 2)) as made:
        yield made


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Gateway]]:
    """Four nodes, of which one may lie; 2 and 3 do where a run's thread says so."""
    with running_cluster(tmp_path_factory.mktemp("four") / "data", 4, liars=(2, 3)) as made:
        yield made


@contextmanager
def deciding(gateway: Gateway, *, local: bool = True, **consensus: object) -> Iterator[DistributedValidator]:
    """A validator with these consensus settings, every member being reached."""
    config = DistributedValidatorConfig(
        node_id="n0",
        consensus_config=ConsensusConfig(**consensus),  # type: ignore[arg-type]
        partition_handler=PartitionHandlerConfig(allow_local_validation=local),
        validation_timeout=WAIT,
    )
    with DistributedValidator.from_config(gateway, config) as validator:
        total = validator.get_total_nodes()
        wait_until(lambda: len(validator.get_active_nodes()) == total, what="all members are reached")
        yield validator


def given(found: ValidationResult) -> list[Given]:
    """What each member said about the last piece."""
    return [answer.given for answer in found.pieces[-1].members]


def codes(found: ValidationResult) -> list[str]:
    return [each.code for each in found.errors]


def test_a2_a_tie_of_majority_is_invalid(three: tuple[Cluster, Gateway]) -> None:
    """One votes valid, one lies, one says nothing: 1 to 1 when time is out."""
    with deciding(three[1], algorithm="majority", min_nodes=3, quorum_size=2) as validator:
        tie = validator.validate_sequence(GOOD, thread=thread("tie", n1=LIE, n2=MUTE))
        assert (tie.is_valid, tie.certified, tie.timed_out) == (False, False, True)
        assert given(tie) == [Given.VALID, Given.INVALID, Given.SILENT]
        assert {piece.verdict.value for piece in tie.pieces} == {"invalid"}
        two = validator.validate_sequence(GOOD, thread=thread("two", n1=LIE))
        assert (two.is_valid, two.certified) == (True, True), "two of three find it valid"


def test_a3_one_vote_of_two_has_no_quorum(three: tuple[Cluster, Gateway]) -> None:
    with deciding(three[1], local=False, algorithm="majority", min_nodes=3, quorum_size=2) as validator:
        found = validator.validate_sequence(GOOD, thread=thread("alone", n1=MUTE, n2=MUTE))
    assert (found.is_valid, codes(found)) == (False, ["NO_QUORUM"])
    assert found.errors[0].message == "Only 1 of 2 members have voted."


def test_a4_unanimous_is_valid_denied_by_a_liar_or_not_decided(three: tuple[Cluster, Gateway]) -> None:
    with deciding(three[1], algorithm="unanimous", min_nodes=3) as validator:
        every = validator.validate_sequence(GOOD, thread="every")
        assert (every.is_valid, every.certified, given(every)) == (True, True, [Given.VALID] * 3)
        denied = validator.validate_sequence(GOOD, thread=thread("denied", n2=LIE))
        assert (denied.is_valid, denied.certified) == (False, False)
        assert given(denied)[2] is Given.INVALID
        two = validator.validate_sequence(GOOD, thread=thread("two", n2=MUTE))
        assert (two.is_valid, codes(two)) == (False, ["INSUFFICIENT_NODES"])
        assert two.errors[0].message == "Only 2 of 3 members have voted."


def test_a6_pbft_decides_by_equal_votes(four: tuple[Cluster, Gateway]) -> None:
    with deciding(four[1], algorithm="pbft", min_nodes=4, quorum_size=3) as validator:
        three_to_one = validator.validate_sequence(GOOD, thread=thread("3 to 1", n3=LIE), run="valid")
        assert (three_to_one.is_valid, three_to_one.certified) == (True, True)
        split = validator.validate_sequence(GOOD, thread=thread("2 to 2", n2=LIE, n3=LIE), run="split")
        assert (split.is_valid, codes(split)) == (False, ["PBFT_NO_CONSENSUS"])
        refused = validator.validate_sequence(BAD, thread=thread("1 to 3", n3=PRAISE), run="refused")
        assert (refused.is_valid, refused.certified) == (False, True)
        assert {(each.index, each.code) for each in refused.errors} == {(WRONG_AT, "MESSAGE_NOT_OPEN")}


def test_what_a_real_liar_invents_is_not_the_reason(four: tuple[Cluster, Gateway]) -> None:
    with deciding(four[1], algorithm="unanimous", min_nodes=4) as validator:
        denied = validator.validate_sequence(GOOD, thread=thread("denied", n3=LIE))
    assert (denied.is_valid, codes(denied)) == (False, ["NO_CERTIFICATE"])
    assert denied.errors[0].message.startswith("1 of 4 members refuses this, and fewer than 2 name the same")
    assert denied.pieces[-1].members[3].errors == ((denied.pieces[-1].position, A_LIE),)


def test_a29_members_that_hang_end_in_a_timeout_by_name(three: tuple[Cluster, Gateway]) -> None:
    """Two of three are paused; their links stand."""
    cluster, gateway = three
    with (
        deciding(gateway, local=False, algorithm="majority", min_nodes=3, quorum_size=2) as validator,
        deciding(gateway, algorithm="majority", min_nodes=3, quorum_size=2) as local,
        ThreadPoolExecutor(1) as beside,
    ):
        for index in (1, 2):
            cluster.processes[index].send_signal(signal.SIGSTOP)
        try:
            calling = beside.submit(local.validate_sequence, GOOD)
            found = validator.validate_sequence(GOOD, thread="hanging")
            first = calling.result()
            assert (first.is_valid, first.owing, codes(first)) == (True, Owing.IN_MEMORY, []), first
            assert [each.code for each in first.warnings] == ["LOCAL_ONLY"]
            assert first.duration >= WAIT, "the members were asked"
            assert (found.is_valid, codes(found)) == (False, ["NO_QUORUM"]), found
            assert given(found) == [Given.VALID, Given.SILENT, Given.SILENT]
            assert WAIT <= found.duration <= allowed(WAIT)
            assert validator.get_metrics().timeout_count == 1
        finally:
            for index in (1, 2):
                cluster.processes[index].send_signal(signal.SIGCONT)
        assert wait_until(
            lambda: validator.validate_sequence(GOOD, thread="awake").certified, what="they vote again"
        )
        [settled] = wait_until(local.get_settled, what="what was owed is judged")
        assert (settled.id, settled.run, settled.result.certified) == (first.owed_id, "r", True)


def test_a31_a_cut_off_validator_judges_alone_or_refuses(four: tuple[Cluster, Gateway]) -> None:
    cluster, gateway = four
    with (
        deciding(gateway, algorithm="pbft", min_nodes=4, quorum_size=3) as alone,
        deciding(gateway, local=False, algorithm="pbft", min_nodes=4, quorum_size=3) as forbidden,
    ):
        cluster.kill(2, 3)
        try:
            wait_until(alone.is_partitioned, what="the loss of two is seen")
            good, bad = alone.validate_sequence(GOOD, thread="a"), alone.validate_sequence(BAD, thread="b")
            assert [each.warnings[0].code for each in (good, bad)] == ["LOCAL_ONLY"] * 2
            assert (good.is_valid, bad.is_valid, codes(bad)) == (True, False, ["MESSAGE_NOT_OPEN"])
            assert not good.certified
            refused = forbidden.validate_event(GOOD[0], thread="c")
            assert (refused.is_valid, codes(refused), refused.event_count) == (
                False,
                ["DISTRIBUTED_PARTITION"],
                1,
            )
        finally:
            cluster.start(2, 3)
            cluster.ready(gateway)
        wait_until(lambda: not alone.is_partitioned(), what="they are back")


def test_a33_sequences_are_empty_refused_by_index_and_in_turn(
    four: tuple[Cluster, Gateway],
) -> None:
    """Beside a liar. A member that says nothing makes each run under unanimous last WAIT seconds."""
    gateway = four[1]
    with deciding(gateway, algorithm="pbft", min_nodes=4, quorum_size=3) as validator:
        empty = validator.validate_sequence([])
        assert (empty.is_valid, empty.event_count, empty.errors) == (True, 0, ())
        bad = validator.validate_sequence(BAD, thread=thread("bad", n3=PRAISE), run="bad")
        assert (bad.is_valid, bad.event_count) == (False, len(BAD))
        assert bad.errors[0].index == WRONG_AT
    with deciding(gateway, algorithm="unanimous", min_nodes=4) as validator:

        def took(*names: str) -> float:
            """Seconds for a run of each thread, begun at once."""
            begun = time.monotonic()
            with ThreadPoolExecutor(len(names)) as threads:
                found = list(threads.map(lambda name: validator.validate_sequence(GOOD, thread=name), names))
            assert [codes(each) for each in found] == [["INSUFFICIENT_NODES"]] * len(names)
            return time.monotonic() - begun

        one_thread = took(*[thread("one", n3=MUTE)] * 3)
        three_threads = took(*[thread(name, n3=MUTE) for name in ("x", "y", "z")])
    assert one_thread >= 3 * WAIT, "one after the other"
    assert three_threads < one_thread - WAIT, "beside each other"


@pytest.mark.asyncio
async def test_a35_fifty_runs_that_begin_at_once_are_all_valid(four: tuple[Cluster, Gateway]) -> None:
    """Beside a liar."""
    async with AsyncDistributedValidator(four[1], algorithm=Algorithm.PBFT, recorded=False) as validator:
        assert (await validator.validate_sequence(GOOD, thread="first")).certified
        begun = time.monotonic()
        found = await asyncio.gather(
            *(
                validator.validate_sequence(
                    [event(f"RS:r{number}", threadId=f"t{number}")],
                    thread=thread(f"t{number}", n3=LIE),
                    run=f"r{number}",
                )
                for number in range(RUNS)
            )
        )
        took = time.monotonic() - begun
    assert [each.is_valid and each.certified for each in found] == [True] * RUNS
    assert took <= allowed(AT_ONCE)
