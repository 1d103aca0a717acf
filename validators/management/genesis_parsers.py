"""The parsers of `manage.py genesis continue | grant | recover`; the work is in continuing, granting and
recover, which --help does not import."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dtvn.protocol import genesis as g
from dtvn.protocol.quorum import Mode
from validators.management.teaching import add_data_folder, add_steps

GRANT_DAYS = 7
GRANT_DAYS_MAX = 31
"""Of the ticket machine: granting.VALID_MAX."""

CONTINUE = """\
The last resort, at a cost: a NEW cluster that begins with the old one's last certified state, the
newest stable checkpoint in any remaining ledger. What the old cluster acknowledged after that may be
lost: a ticket that was admitted then can be admitted again. Use it only if `genesis recover` refuses (an old
key is lost, too few members vouch that their logs are their newest (with three members: always), or a
membership change was in progress).

  1. stop every old node that still runs; save and show the certified state of each remaining ledger: the
     one with the highest sequence loses least
       manage.py genesis continue save --data-dir ./old --id venue --out cup.state
       manage.py genesis continue show cup.state
  2. one party proposes the new cluster; pass the state file on with the genesis
       manage.py genesis continue init cup.state --name "Cup final 2" --members 4 --out cup2.genesis
  3. each party joins with a NEW data folder and seals as usual; `seal` first checks the whole state
       manage.py genesis join cup2.genesis --data-dir ./new --id venue --host venue.example --port 4001 \\
           --grant issue --grant gate --grant admin
       manage.py genesis seal cup2.genesis --data-dir ./new --state cup.state
  4. when all have sealed, a second `seal` installs genesis and state; then each party starts its node
       manage.py genesis seal cup2.genesis --data-dir ./new --state cup.state
       manage.py validator -data-dir ./new -id venue

Compare the old cluster's id that `show` prints with the one you know; a party that has its old genesis or
epoch chain gives it to `show` and `seal` (--old-chain FILE). For a demo cluster of one party:
  manage.py genesis continue demo cup.state --data-dir ./new, then make up DATA=./new
A member that joins later needs the file too: `genesis continue install` with its --id.

Kept: complete tickets, with their admissions; and how the members agree, PBFT or Raft. Not kept: clients'
sessions and nonces (clients open new sessions), principals, grants and members (the new genesis sets them).
Certificates of the new cluster say "continued, not proved by all"; those of the old one stay valid under its
own id, and convict no member.
"""

GRANT = """\
All members together give a principal grants. This is the way out of a cluster that was founded without any:
no principal needs a permission for it. Signatures of all members of the epoch are needed.

  1. one party proposes, and passes the file on; it holds no secrets
       manage.py genesis grant propose seller-gateway --grant issue --out seller.grant --data-dir ./data
  2. each member reads the statement, and then signs it on its own host; `sign` prints it too before it signs
       manage.py genesis grant show seller.grant
       manage.py genesis grant sign seller.grant --data-dir ./data
  3. any party orders it while the cluster runs
       manage.py genesis grant order seller.grant --data-dir ./data

Grants are added to those that the principal has. A statement takes effect once, until it expires, and only
in its epoch. All members must run a release that knows the operation before one signs.
"""

RECOVER = """\
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
It is for clusters that agree by PBFT: of a Raft cluster, only `genesis continue` goes on.
If fewer can vouch, if a member's old key is lost, or if a membership change is only prepared or not
sealed, recovery is refused, and only `manage.py genesis continue` remains. Compare the plan's id over a
second channel. Signing a second end of one epoch convicts the signer.
"""


def add_continue(verbs: Any) -> None:
    """The verb `continue` and its own verbs."""
    summary = "found a new cluster on the last certified state of a lost one"
    steps = add_steps(verbs, "continue", summary=summary, teaches=CONTINUE)
    one = steps.add_parser("save", help="write the last certified state in an old ledger to a file")
    add_data_folder(one)
    whose = one.add_mutually_exclusive_group(required=True)
    whose.add_argument("--id", default="", help="use the ledger of this node, which must be stopped")
    whose.add_argument("--learner", action="store_true", help="use the ledger of the platform's learner")
    one.add_argument("--out", type=Path, required=True, metavar="FILE")
    two = steps.add_parser("show", help="check signatures, log and every ticket; show what may be lost")
    two.add_argument("state", type=Path)
    add_old_chain(two)
    three = steps.add_parser("init", help="propose the new cluster, no members yet")
    three.add_argument("state", type=Path)
    add_terms(three)
    four = steps.add_parser("demo", help="make the new cluster as a demo, all keys on this host")
    four.add_argument("state", type=Path)
    add_data_folder(four)
    four.add_argument("--nodes", type=int, default=4, help="number of validators (default 4)")
    four.add_argument("--name", default="demo", help="name of the cluster (default demo)")
    five = steps.add_parser("install", help="install the state for this host's nodes and platform")
    five.add_argument("state", type=Path)
    add_data_folder(five)
    five.add_argument("--id", default="", help="a newcomer made here by `members prepare`")


def add_old_chain(parser: ArgumentParser) -> None:
    """`--old-chain`: this party's own copy of the old cluster's chain."""
    parser.add_argument(
        "--old-chain",
        type=Path,
        metavar="FILE",
        help="your copy of the old cluster's genesis or epoch chain: it must prove the state",
    )


def add_terms(parser: ArgumentParser) -> None:
    """Options for the terms of a proposed cluster."""
    parser.add_argument("--name", required=True, help="name of the cluster, 1 to 64 characters")
    parser.add_argument("--members", type=int, required=True, help="number of parties")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    for field in g.PROPOSED:
        default = getattr(g.Parameters(), field)
        parser.add_argument(
            f"--{field.replace('_', '-')}", type=int, default=default, help=f"default {default}"
        )


def add_consensus(parser: ArgumentParser) -> None:
    """`--consensus`: how the members of a new cluster agree."""
    parser.add_argument(
        "--consensus",
        choices=[each.value for each in Mode],
        default=Mode.PBFT.value,
        help="how the members agree, for ever: pbft, where some may lie, or raft, where none does and more "
        "may crash (default pbft; see manage.py genesis --help)",
    )


def add_grant(verbs: Any, read_grant: Callable[[str], g.Grant]) -> None:
    """Add the verb `grant` with its steps. `read_grant`: parses `issue` or `EVENT:issue`."""
    steps = add_steps(verbs, "grant", summary="all members together give a principal grants", teaches=GRANT)
    one = steps.add_parser("propose", help="write the statement that all members sign")
    one.add_argument("name", metavar="PRINCIPAL", help="as `genesis show` lists them")
    one.add_argument("--grant", action="append", type=read_grant, required=True, metavar="[EVENT:]CAPABILITY")
    one.add_argument(
        "--days", type=int, default=GRANT_DAYS, help=f"days until it expires (1 to {GRANT_DAYS_MAX})"
    )
    one.add_argument("--out", type=Path, required=True, metavar="FILE")
    add_data_folder(one)
    two = steps.add_parser("show", help="print the statement that is to be signed")
    two.add_argument("file", type=Path)
    three = steps.add_parser("sign", help="print the statement, then sign it with this host's member key")
    three.add_argument("file", type=Path)
    three.add_argument("others", type=Path, nargs="*", help="the other members' copies of the file")
    add_data_folder(three)
    three.add_argument("--out", type=Path, metavar="FILE", help="default: the same file")
    four = steps.add_parser("order", help="have it ordered; needs the signatures of all members")
    four.add_argument("file", type=Path)
    four.add_argument("others", type=Path, nargs="*", help="the other members' copies of the file")
    add_data_folder(four)


def add_recover(verbs: Any) -> None:
    """Add the verb `recover` with its five steps."""
    summary = "recover a cluster in which too many members lost their votes"
    steps = add_steps(verbs, "recover", summary=summary, teaches=RECOVER)
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
