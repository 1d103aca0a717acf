"""A program that has sequences validated, beside a cluster: `python -m tests.integration.owing_program ...`.

judge GENESIS KEY FOLDER FIRST LAST   tell what it is cut off from, judge these runs, one line of JSON each;
                                      then wait to be killed
settle GENESIS KEY FOLDER             wait until nothing is owed, and print what was settled
"""

from __future__ import annotations

import json
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits
from dtvn.gateway import DistributedValidator, Gateway, SettledRun, ValidationResult, validator_local
from tests.waiting import wait_until

STRICT = 4
"""The run that is judged as by another release, whose rules take shorter events."""
LONG = b'{"type":"CUSTOM","name":"n","value":"%s"}' % (b"x" * 300)


def texts_of(number: int) -> list[bytes]:
    """Run `number`: every third one ends a tool call that it never began."""
    names = b'"threadId":"t%d","runId":"r%d"' % (number % 4, number)
    middle = b'{"type":"TOOL_CALL_END","toolCallId":"never"}' if number % 3 == 0 else LONG
    return [b'{"type":"RUN_STARTED",%s}' % names, middle, b'{"type":"RUN_FINISHED",%s}' % names]


def judged(validator: DistributedValidator, number: int) -> ValidationResult:
    rules = RuledRun
    if number == STRICT:
        validator_local.RuledRun = partial(_stricter, rules)  # type: ignore[assignment, misc]
    try:
        return validator.validate_sequence(texts_of(number), thread=f"t{number % 4}", run=f"r{number}")
    finally:
        validator_local.RuledRun = rules  # type: ignore[misc]


def _stricter(rules: type[RuledRun], _limits: Limits) -> RuledRun:
    return rules(Limits(event_bytes=256))


def shown(settled: SettledRun) -> dict[str, Any]:
    result = settled.result
    return {
        "id": settled.id,
        "run": settled.run,
        "certificates": [each.hex() for each in result.certificates],
        "salts": [each.hex() for each in result.salts],
        "events": [each.decode() for each in settled.events],
        "valid": result.is_valid,
        "warnings": [each.code for each in result.warnings],
        "differences": [[each.index, each.here, each.members] for each in settled.differences],
    }


def told(validator: DistributedValidator) -> tuple[str, tuple[str, ...]]:
    """Type of its partition, and the members that it does not reach."""
    found = validator.get_current_partition()
    return ("", ()) if found is None else (found.type, found.unreachable_nodes)


def missed_all(gateway: Gateway, validator: DistributedValidator) -> bool:
    """Whether its partition is from all members that this process never heard."""
    never = {member.id for member in gateway.members() if member.heard is None}
    return bool(never) and set(told(validator)[1]) == never


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main(what: str, genesis: str, key: str, folder: str, *numbers: str) -> None:
    gateway = Gateway.open(Path(genesis), Path(key))
    with DistributedValidator(gateway, wait=5.0, owed_folder=Path(folder)) as validator:
        if what == "judge":
            wait_until(lambda: missed_all(gateway, validator), what="cut off from all that never answered")
            say(told(validator))
            for number in range(*map(int, numbers)):
                result = judged(validator, number)
                say([result.owed_id, result.owing, f"r{number}"])
            say("all")
            signal.pause()
        wait_until(lambda: not validator.get_owed(), what="nothing is owed")
        for each in validator.get_settled():
            say(shown(each))
    gateway.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
