"""`manage.py genesis recover state | plan | sign | seal | install`: the steps of a recovery, each a
function."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dtvn.files.whole import write_private
from dtvn.node import recovery_steps
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.options import NodeOptions, StartError, check_folder, read_genesis
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
from validators.management.teaching import add_data_folder, add_steps

Say = Callable[[str], object]

TEACH = """\
Recover a cluster in which more than n - q members lost their votes: restored from copies, or without
their disks. Nothing can be ordered then, and no vote returns by itself. All members sign offline where
the log ends, and continue in a new epoch under new keys; every acknowledged operation stays. All nodes stay
stopped until the last step. The files that members exchange hold nothing secret.

  0. start the nodes that can still run, so that lagging members catch up; then stop every node
  1. each member states what its ledger holds. With --vouch its operator confirms that this log is its newest
     ever: not restored from a copy, not on a disk that lost writes. Use --vouch only if that is true
       manage.py genesis recover state --data-dir ./data --id node0 --vouch --out node0.state
       manage.py genesis recover state --data-dir ./data --id node1 --out node1.state
  2. anyone combines all statements and passes the plan on; it is refused if too few vouch
       manage.py genesis recover plan node0.state node1.state --data-dir ./data --out cup.plan
  3. each member recomputes the plan, executes it and signs where the epoch ends; then it votes no more in
     that epoch, and signs no other end of it. Members whose logs do not reach the plan sign last
       manage.py genesis recover sign cup.plan --data-dir ./data --id node0 --out node0.signed
       manage.py genesis recover sign cup.plan node0.signed --data-dir ./data --id node1 --out node1.signed
  4. anyone combines all signatures: all of them are needed
       manage.py genesis recover seal cup.plan node0.signed node1.signed --data-dir ./data --out cup.sealed
  5. each member installs the result and starts its node. Repeating it there is harmless; never do it
     in a copy of the data folder, which does not know the later votes of the new key
       manage.py genesis recover install cup.sealed --data-dir ./data --id node0
       manage.py validator -data-dir ./data -id node0

At least n - q + 1 members must vouch: one of them holds every acknowledged entry, unless it lies.
With three members that is two, which can decide by themselves: after the loss of two it never helps.
If fewer can vouch, if a member's old key is lost, or if a membership change is only prepared or not
sealed, recovery is refused, and only `manage.py genesis continue` remains. Compare the plan's id over a
second channel. Signing a second end of one epoch convicts the signer.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb `recover` with its five steps."""
    summary = "recover a cluster in which too many members lost their votes"
    steps = add_steps(verbs, "recover", summary=summary, teaches=TEACH)
    one = steps.add_parser("state", help="state what this member's ledger holds, signed with its key")
    one.add_argument(
        "--vouch",
        action="store_true",
        help="confirm that this log is the newest that this member ever had",
    )
    one.add_argument(
        "--epochs",
        type=Path,
        metavar="STATE",
        help="another member's statement, if this ledger does not know the latest epoch",
    )
    two = steps.add_parser("plan", help="combine the statements of all members")
    two.add_argument("files", type=Path, nargs="+", metavar="STATE")
    three = steps.add_parser("sign", help="execute the plan and sign where the epoch ends")
    three.add_argument("plan", type=Path)
    three.add_argument(
        "files",
        type=Path,
        nargs="*",
        metavar="SIGNED",
        help="signed files of others, for a log that does not reach the plan",
    )
    four = steps.add_parser("seal", help="combine the signatures of all members")
    four.add_argument("plan", type=Path)
    four.add_argument("files", type=Path, nargs="+", metavar="SIGNED")
    five = steps.add_parser("install", help="install the result in this member's ledger, with its new key")
    five.add_argument("sealed", type=Path)
    for step in (one, two, three, four, five):
        add_data_folder(step)
        if step is not five:
            step.add_argument("--out", type=Path, required=True, metavar="FILE")
        if step in (one, three, five):
            named = "name of this member's node" + (
                " (without it: only the platform)" if step is five else ""
            )
            step.add_argument("--id", required=step is not five, help=named)
            step.add_argument(
                "--ledger", type=Path, help="folder of its ledger, if its settings name another"
            )


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
    told, names = recovery_steps.state(_place(options), vouches=options["vouch"], others=others)
    _write(options["out"], told)
    statement = told.statement
    vouched = "vouches that this is its newest log" if statement.vouches else "does not vouch for its log"
    why = f" ({statement.lost})" if statement.lost else ""
    say(
        f"{options['out']}: {statement.member} executed {statement.executed} in epoch {statement.epoch}, "
        f"its stable checkpoint is {statement.stable}; it {vouched}{why}."
    )
    n, q = len(names), quorum.quorum(len(names))
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
    needed = quorum.weak_quorum(len(members))
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
        f"from an older copy of this folder: {quorum.quorum(len(following.members))} of "
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
    if quorum.faults(config.n):
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
        own_url=os.environ.get("DTVN_STORAGE_URL", ""),
        platform_url=os.environ.get("DATABASE_URL", ""),
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
        return read_genesis(next((path for path in places if path.exists()), data.genesis))
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
