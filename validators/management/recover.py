"""`manage.py genesis recover state | plan | sign | seal | install`: the steps of a recovery, each a
function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dtvn.ceremony import recovery_steps
from dtvn.files.whole import write_private
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.options import NodeOptions, StartError, check_folder, load_genesis
from dtvn.proof import evidence_json, shown
from dtvn.protocol import canonical, quorum
from dtvn.protocol import genesis as g
from dtvn.recovery import (
    Plan,
    PlanFile,
    RecoveryError,
    SealedFile,
    SignedFile,
    StateFile,
    opened,
    plan_digest,
    sealing,
)
from validators.data_folder import environment

Say = Callable[[str], object]


def run(options: dict[str, Any], say: Say) -> None:
    """Executes the requested step; raises RecoveryError with a sentence."""
    try:
        STEPS[options["step"]](options, say)
    except sealing.ConvictedError as error:
        path = options["out"].with_suffix(".evidence")
        path.write_bytes(evidence_json(error.evidence))
        raise RecoveryError(f"{error} {path} convicts it (manage.py verify_evidence).") from error


def _state(options: dict[str, Any], say: Say) -> None:
    others = [_read(StateFile, options["epochs"])] if options["epochs"] else []
    place = _place(options)
    told, names = recovery_steps.state(place, vouches=options["vouch"], others=others)
    _write(options["out"], told)
    statement = told.statement
    vouched = "vouches that this is its newest log" if statement.vouches else "does not vouch for its log"
    why = f" ({statement.lost})" if statement.lost else ""
    say(
        f"{options['out']}: {statement.member} executed {statement.executed} in epoch {statement.epoch}, "
        f"its stable checkpoint is {statement.stable}; it {vouched}{why}."
    )
    n, q = len(names), quorum.quorum(len(names), g.mode(place.genesis))
    say(
        f"Next: keep the node stopped, and hand {options['out']} to the one that makes the plan "
        f"(genesis recover plan) of the files of all {n} members ({_shown(names)}), at least {n - q + 1} of "
        "them with --vouch."
    )


def _plan(options: dict[str, Any], say: Say) -> None:
    file, plan = recovery_steps.planned(
        [_read(StateFile, path) for path in options["files"]], _genesis(options)
    )
    _write(options["out"], file)
    _tell_plan(file, plan, say)
    members, late = plan.reading.config.members, _late(plan)
    able = [name for name in members if name not in late]
    needed = plan.reading.config.f + 1
    order = f"first {_shown(able)}, then {_shown(late)} with the files of {needed} of them"
    say(
        f"Next: hand {options['out']} to all members; each compares the plan id and signs (genesis recover "
        f"sign), {order if late else 'in any order'}."
    )


def _sign(options: dict[str, Any], say: Say) -> None:
    others = [_read(SignedFile, path) for path in options["files"]]
    file = _read(PlanFile, options["plan"])
    signed, plan = recovery_steps.sign(_place(options), file, others)
    _write(options["out"], signed)
    _tell_plan(file, plan, say)
    how = (
        "executed the plan and signed"
        if signed.ending
        else "could not execute the plan, and signed what others did"
    )
    config = plan.reading.config
    say(f"{options['out']}: {options['id']} {how}. It no longer votes in epoch {config.epoch}.")
    late = _late(plan)
    witness = late and options["id"] not in late
    first = f"{_shown(late)}, which cannot execute the plan, and to " if witness else ""
    say(
        f"Next: hand {options['out']} to {first}the one that seals the signatures of all {config.n} "
        f"members (genesis recover seal {options['plan']} ...)."
    )


def _seal(options: dict[str, Any], say: Say) -> None:
    genesis = _genesis(options)
    file, plan = recovery_steps.planned(_read(PlanFile, options["plan"]).states, genesis)
    files = [_read(SignedFile, path) for path in options["files"]]
    sealed, wrong = sealing.seal(file, plan, files, genesis)
    _write(options["out"], sealed)
    say(f"{options['out']}: signed by all.")
    if wrong:
        say(
            f"The file of {_shown(wrong)} is not the entry that its member signed: it is false or damaged. "
            "That of another member is used."
        )
    say(
        f"Next: hand {options['out']} to all members; each installs it (genesis recover install "
        f"{options['out']} --id ...); a party with a platform but no node does so without --id."
    )


def _install(options: dict[str, Any], say: Say) -> None:
    sealed = _read(SealedFile, options["sealed"])
    place = None if options["id"] is None else _place(options)
    genesis = _genesis(options) if place is None else place.genesis
    recovery_steps.tell_platform(ClusterFolder(options["data_dir"]), genesis, sealed)
    if place is None:
        say(f"{options['data_dir']}: its gateway and its learner know the members' new keys.")
        say("Next: install it for each node of this folder too (--id), or start the platform (make up).")
        return
    following = recovery_steps.install(place, sealed)
    say(
        f"{options['id']} continues in epoch {following.epoch} after sequence {following.after} under a "
        f"new key; the old one is erased."
    )
    say(
        f"Next: start it (manage.py validator -data-dir {options['data_dir']} -id {options['id']}), never "
        f"from an older copy of this folder: {quorum.quorum(len(following.members), following.mode)} of "
        f"{len(following.members)} members can decide again."
    )


STEPS: dict[str, Callable[[dict[str, Any], Say], None]] = {
    "state": _state,
    "plan": _plan,
    "sign": _sign,
    "seal": _seal,
    "install": _install,
}


def _tell_plan(file: PlanFile, plan: Plan, say: Say) -> None:
    config = plan.reading.config
    say(f"plan id      {plan_digest(config.cluster, file).hex()}")
    say(f"epoch        {config.epoch} of {config.n} members ends after {plan.last + 1}")
    say(f"vouched by   {_shown(plan.vouchers)}")
    for told in plan.reading.told:
        statement = told.statement
        reach = "" if plan.executes(told.index) else "  (its log does not reach the plan: it signs last)"
        say(f"member       {shown(statement.member)}  executed {statement.executed}{reach}")
    if config.f:
        say("It is correct unless a member that vouches is wrong or lies.")


def _late(plan: Plan) -> list[str]:
    """Members whose log does not reach the plan: they sign what the others signed."""
    return [told.statement.member for told in plan.reading.told if not plan.executes(told.index)]


def _shown(names: Sequence[str]) -> str:
    return ", ".join(shown(name) for name in names)


def _place(options: dict[str, Any]) -> recovery_steps.Place:
    try:
        folder: NodeFolder = ClusterFolder(options["data_dir"]).node(options["id"])
    except ValueError as error:
        raise RecoveryError(f"{error}.") from error
    from validators.ledger import find_ledger, open_ledger  # not for --help

    where = NodeOptions(
        ledger_folder=options["ledger"],
        own_url=environment.storage_url(),
        platform_url=environment.database_url(),
    )
    return recovery_steps.Place(folder, open_ledger, find_ledger, where)


def _genesis(options: dict[str, Any]) -> g.Genesis:
    """The genesis of the cluster, or of any node whose folder is here."""
    data = ClusterFolder(options["data_dir"])
    try:
        check_folder(data, "")
    except StartError as error:
        raise RecoveryError(str(error)) from error
    places = [data.genesis, *sorted(data.nodes.glob("*/identity/genesis.bin"))]
    try:
        return load_genesis(next((path for path in places if path.exists()), data.genesis))
    except StartError as error:
        raise RecoveryError(str(error)) from error


def _read(kind: type[Any], path: Path) -> Any:
    content = recovery_steps.read_bounded(path)
    try:
        return opened(kind, content)
    except RecoveryError as error:
        raise RecoveryError(f"{path} {error}") from error


def _write(path: Path, value: object) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, canonical.encode(value), replace=True)
    except OSError as error:
        raise RecoveryError(f"{path} cannot be written: {error.strerror}.") from error
