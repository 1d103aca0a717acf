"""The options that choose advice."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from dtvn.events.advice import Profile, codes_of


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `chosen_advice` and `validate` read."""
    parser.add_argument(
        "--profile",
        choices=[*Profile],
        default=Profile.DEFAULT,
        help="the advice: the seed's, what the official client loses of a stream, or both with less noise",
    )
    for name, what in (("--off", "do not advise on CODE"), ("--only", "advise on CODE alone")):
        parser.add_argument(
            name,
            metavar="CODE",
            type=code,
            action="append",
            default=[],
            help=f"{what}; may be given several times, or with commas",
        )
    parser.add_argument("--max-warnings", metavar="N", type=number, help="fail if there are more warnings")
    parser.add_argument(
        "--accept-0x",
        action="store_true",
        help="with --profile seed: judge events of protocol 0.x as what the official client 1.0 converts "
        "them to, as the other profiles do",
    )


def code(text: str) -> tuple[str, ...]:
    try:
        return codes_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def number(text: str) -> int:
    found = int(text)
    if found < 0:
        raise argparse.ArgumentTypeError("a number from 0")
    return found


def chosen_advice(options: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of ValidationConfig."""
    return {
        "profile": options["profile"],
        "advice_off": tuple(each for given in options["off"] for each in given),
        "advice_only": tuple(each for given in options["only"] for each in given),
        "accept_protocol_0x": options["accept_0x"],
    }
