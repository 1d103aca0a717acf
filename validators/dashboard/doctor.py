"""The doctor: two looks at every node, by the questions of the diagnosis, a run of events that all members
judge, and the findings."""

from __future__ import annotations

import math
import time
from collections import Counter
from uuid import uuid4

import msgspec

from dtvn.api.errors import Unavailable
from dtvn.events.balancing import BreakerState
from dtvn.events.config import Algorithm
from dtvn.gateway import GatewayFace, Judged
from dtvn.protocol import quorum
from dtvn.waiting import saying
from dtvn.wording import counted
from validators.dashboard.diagnosis import ANSWER_WAIT, ask_members, explain
from validators.dashboard.findings import Finding, filling, find
from validators.models import MemberEvidence
from validators.own_api import read_breakers
from validators.services import following
from validators.services.network import informed_gateway

SECONDS_MAX = 600.0
"""Most seconds between the two looks."""

VALID_RUN = (
    b'{"type":"RUN_STARTED","threadId":"doctor","runId":"doctor"}',
    b'{"type":"STEP_STARTED","stepName":"look"}',
    b'{"type":"TEXT_MESSAGE_START","messageId":"doctor","role":"assistant"}',
    b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"doctor","delta":"Well?"}',
)
"""Its run stays open, so that the state of the rules is not the one that it began with."""

RUNBOOK = {
    "stuck": "See the runbook, DtvnNoProgress.",
    "slow": "The cluster may be able to lose no further node: see the runbook, DtvnNoSpareNode.",
}
"""Level of the diagnosis -> remedy for a trouble that only the diagnosis sees."""


class Report(msgspec.Struct, frozen=True):
    """The doctor's result; `verdict` is the sentence of the diagnosis (*Why is it stuck?*), `note` what the
    cluster does not tolerate even if it is healthy (R37), "" if a member may lie; `filling`: members that
    took a state, and fetch the log below it (R23)."""

    healthy: bool
    sentence: str
    verdict: str
    findings: list[Finding]
    note: str
    filling: list[str] = []


def examine(*, seconds: float) -> Report:
    """Looks at every node, waits `seconds`, and looks again. Raises Unavailable if there is no cluster to
    ask, ValueError if `seconds` is not in 0 to SECONDS_MAX."""
    if not (math.isfinite(seconds) and 0 <= seconds <= SECONDS_MAX):
        raise ValueError(f"--for: {seconds} is not in 0 to {SECONDS_MAX:.0f} seconds")
    if following.is_follower():
        return of_follower()
    network = informed_gateway()
    first = ask_members(network)
    with saying("the second look"):
        time.sleep(seconds)
    explained = explain()
    second = explained.reports
    if not second:
        raise Unavailable(explained.verdict)
    evidence = Counter(
        MemberEvidence.objects.filter(name__in=[look.id for look in second]).values_list("name", flat=True)
    )
    found = find(
        first,
        second,
        state=explained.state,
        evidence=evidence,
        breakers=breakers(network),
        judged=judge_valid_run(network),
    )
    note = quorum.fault_tolerance_note(len(second), network.present.mode)
    report = report_of(explained.level, explained.verdict, found, note)
    return msgspec.structs.replace(report, filling=filling(second))


def of_follower() -> Report:
    """The report of a follower: how old its copy is. It asks no member."""
    found = following.freshness()
    if found.level == "ok":
        return report_of("ok", f"{found.sentence}.", [])
    remedy = "See the runbook, DtvnFollowerOld."
    return report_of(
        found.level, f"{found.sentence}.", [Finding("follower_old", f"{found.sentence}.", remedy)]
    )


def judge_valid_run(network: GatewayFace) -> Judged | None:
    """What each member says of a valid run, which nothing records; None if not all can be asked."""
    if Algorithm.UNANIMOUS not in network.events.offered():
        return None
    run = network.events.begin("doctor", uuid4().hex, algorithm=Algorithm.UNANIMOUS, recorded=False)
    try:
        return run.judge(VALID_RUN, wait=ANSWER_WAIT).result(len(VALID_RUN) * ANSWER_WAIT)
    except TimeoutError:
        return None
    finally:
        run.end()


def breakers(network: GatewayFace) -> dict[str, str]:
    """State of the breaker of each member, by its id: as the web process of this platform sees it, which runs
    for longer, else as this process does."""
    nodes = network.balance().nodes.items()
    own = {name: BreakerState(node.circuit_state).name.lower().replace("_", "-") for name, node in nodes}
    return own | read_breakers()


def report_of(level: str, verdict: str, findings: list[Finding], note: str = "") -> Report:
    """The report on these findings; without any, the level and verdict of the diagnosis decide. Pure."""
    if level != "ok" and not findings:
        findings = [Finding(level, verdict, RUNBOOK[level])]
    sentence = f"{counted(len(findings), 'finding')}." if findings else f"Healthy. {verdict}"
    return Report(not findings, sentence, verdict, findings, note)
