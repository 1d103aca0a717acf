"""`manage.py genesis grant propose | show | sign | order`: grants by all members together (R15)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from dtvn.api.ordering import Request
from dtvn.ceremony.founding import FoundingError
from dtvn.ceremony.granting import (
    FORMAT,
    GrantError,
    GrantFile,
    command,
    merged,
    missing,
    read_grant,
    signed,
    write_grant,
)
from dtvn.gateway import GatewayFace, gather_liveness_proofs
from dtvn.machine import GrantStatement, granting
from dtvn.net import KeyFileError
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError, load_genesis
from dtvn.proof import shown
from dtvn.protocol import genesis as g
from dtvn.waiting import saying
from dtvn.wording import counted
from validators.management.genesis_parsers import GRANT_DAYS_MAX
from validators.management.teaching import ACTOR
from validators.services.errors import ServiceError

PRESENT_WAIT = 3.0
DAY = 24 * 3_600 * 1_000_000


def run(options: dict[str, Any], say: Callable[[str], Any]) -> None:
    """Execute one step; raises FoundingError or CommandError."""
    try:
        {"propose": _propose, "show": _show_file, "sign": _sign, "order": _order}[options["step"]](
            options, say
        )
    except (GrantError, KeyFileError, StartError, ServiceError, OSError, ValueError) as error:
        raise FoundingError(str(error)) from error


def _propose(options: dict[str, Any], say: Callable[[str], Any]) -> None:
    if not 1 <= options["days"] <= GRANT_DAYS_MAX:
        raise CommandError(f"--days {options['days']} is not between 1 and {GRANT_DAYS_MAX}")
    grants = tuple(sorted(set(options["grant"]), key=lambda each: (each.event, each.capability)))
    if len(grants) > granting.STATEMENT_GRANTS_MAX:
        raise CommandError(f"--grant: at most {granting.STATEMENT_GRANTS_MAX} in one statement")
    from validators.management.own_gateway import gateway_of  # not for --help

    with gateway_of(options["data_dir"]) as gateway:
        with saying("all members to answer"):
            gather_liveness_proofs(gateway, wait=PRESENT_WAIT)
        statement = GrantStatement(
            epoch=gateway.present.epoch,
            name=options["name"],
            public_key=_key_of(options["name"], gateway, options["data_dir"]),
            grants=grants,
            until=time.time_ns() // 1_000 + options["days"] * DAY,
        )
        file = GrantFile(FORMAT, g.cluster_id(gateway.genesis), statement)
        write_grant(options["out"], file, replace=False)
        _say_statement(file, say)
        say(f"{options['out']}: to be signed by {', '.join(missing(file, gateway.present))}.")


def _key_of(name: str, gateway: GatewayFace, data_dir: Path) -> bytes:
    """The principal's present key: from the platform's copy of the log, else from genesis."""
    from validators.management.own_gateway import is_platforms  # not for --help
    from validators.services.principals import find_principal

    if is_platforms(data_dir) and (found := find_principal(name)) is not None:
        return found.public_key
    for principal in gateway.genesis.principals:
        if principal.name == name:
            return principal.public_key
    raise CommandError(f"There is no principal {name}: `genesis show` and `principals list` name them.")


def _show_file(options: dict[str, Any], say: Callable[[str], Any]) -> None:
    file = read_grant(options["file"])
    _say_statement(file, say)
    say(f"{options['file']}: {counted(len(file.signatures), 'signature')} so far.")


def _sign(options: dict[str, Any], say: Callable[[str], Any]) -> None:
    file = merged(read_grant(options["file"]), map(read_grant, options["others"]))
    _say_statement(file, say)
    keys = [
        node.key
        for path in sorted(ClusterFolder(options["data_dir"]).nodes.glob("*/"))
        if (node := ClusterFolder(options["data_dir"]).node(path.name)).key.exists()
        and node.genesis.exists()
        and g.cluster_id(load_genesis(node.genesis)) == file.cluster
    ]
    if not keys:
        raise GrantError(f"{options['data_dir']} holds no key of a member of this cluster.")
    for key in keys:
        file = signed(file, key)
    out = options["out"] or options["file"]
    write_grant(out, file, replace=out == options["file"])
    say(f"{out}: signed, {counted(len(file.signatures), 'signature')} so far.")


def _order(options: dict[str, Any], say: Callable[[str], Any]) -> None:
    from validators.management.own_gateway import gateway_of  # not for --help
    from validators.services.decide import decide_one

    file = merged(read_grant(options["file"]), map(read_grant, options["others"]))
    with gateway_of(options["data_dir"]) as gateway:
        if g.cluster_id(gateway.genesis) != file.cluster:
            raise GrantError(f"{options['file']} is of another cluster than {options['data_dir']}.")
        with saying("all members to answer"):
            gather_liveness_proofs(gateway, wait=PRESENT_WAIT)
        with saying("the cluster to order it"):
            decided = decide_one(Request(command(file, gateway.present)), actor=ACTOR)
        _say_statement(file, say)
        say(f"decided at sequence {decided.result.sequence}")


def _say_statement(file: GrantFile, say: Callable[[str], Any]) -> None:
    told = file.statement
    say(f"cluster id   {file.cluster.hex()}")
    say(f"principal    {told.name}  {peer_id(told.public_key)}")
    say(f"grants       {', '.join(shown(f'{each.event}:{each.capability}') for each in told.grants)}")
    until = datetime.fromtimestamp(told.until // 1_000_000, UTC)
    say(f"valid until  {until:%Y-%m-%d %H:%M} UTC, in epoch {told.epoch}")
