"""`manage.py genesis continue save | show | init | demo | install`: a new cluster that continues from a
certified state.

The ordinary ceremony decides which members join it, and with which keys (`genesis join`, `genesis seal`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from dtvn.ceremony.founding import FoundingError, write_file
from dtvn.ledger import LedgerError, Location
from dtvn.machine import NAMES, read_head
from dtvn.node.continuing import save
from dtvn.node.layout import ClusterFolder
from dtvn.node.learner import LEARNER_SCHEMA
from dtvn.node.ledger_place import find_place
from dtvn.node.options import NodeOptions, StartError, genesis_in, load_genesis
from dtvn.node.provision import create_demo_cluster
from dtvn.node.state_file import StateFile, StateFileError, copy_state, open_state
from dtvn.proof import CHAIN, ProofError, read_chain, read_file, shown, time_text
from dtvn.protocol import genesis as g
from dtvn.protocol import quorum
from dtvn.protocol.genesis import ceremony as c
from dtvn.protocol.host.ports import JournalError
from dtvn.protocol.versions import NEWEST
from dtvn.waiting import saying
from dtvn.wording import counted
from validators.data_folder import environment


def parameters_of(options: dict[str, Any]) -> g.Parameters:
    """The parameters among the options; the newest version that this program knows is sealed (R47)."""
    return g.Parameters(**{name: options[name] for name in g.PROPOSED}, version=NEWEST)


def run(options: dict[str, Any], say: Callable[[str], Any]) -> None:
    """Executes one step; raises FoundingError with a sentence."""
    try:
        _STEPS[options["step"]](options, say)
    except (StateFileError, StartError, LedgerError, JournalError) as error:
        raise FoundingError(str(error)) from error


def check_continued(ceremony: c.Ceremony, state: Path | None, old_chain: Path | None) -> None:
    """Checks before a member seals: the whole state is the one that the terms name, and is proved through
    what this party knows of the old cluster. Raises FoundingError."""
    terms = ceremony.terms
    continues = c.continued(terms)
    if continues is None:
        if state is not None:
            raise FoundingError(f"{terms.name} continues no other cluster: it has no state to begin with.")
        return
    if state is None:
        raise FoundingError(
            f"{terms.name} continues another cluster: give its state file (--state FILE), so that it "
            "is checked before it is sealed."
        )
    try:
        file = _fitting(state, continues)
        if file.mode is not c.mode(terms):
            raise FoundingError(
                f"consensus: {terms.name} is to agree by {c.mode(terms).value}, and the cluster that it "
                f"continues agreed by {file.mode.value}: a continuation keeps it (genesis continue init)."
            )
        _check_known(file, old_chain)
        _whole(file)
    except StateFileError as error:
        raise FoundingError(str(error)) from error


def put_in_place(state: Path, folder: ClusterFolder, newcomer: str = "") -> None:
    """Copies a state to where the nodes of a data folder load it from; raises FoundingError. `newcomer`: a
    node of this folder whose genesis is used if the folder itself holds none."""
    try:
        path = genesis_in(folder, newcomer)
        continued = g.continued(load_genesis(path))
        if continued is None:
            raise FoundingError(f"{path} continues no other cluster: there is nothing to install.")
        _fitting(state, continued)
        if not folder.continued.exists():
            copy_state(state, folder.continued)
        _whole(_fitting(folder.continued, continued))
    except (StateFileError, StartError) as error:
        raise FoundingError(str(error)) from error


def _save(options: dict[str, Any], say: Callable[[str], Any]) -> None:
    folder = ClusterFolder(options["data_dir"])
    name = options["id"] or LEARNER_SCHEMA
    genesis = load_genesis(genesis_in(folder, options["id"]))
    location = _location(folder, genesis, name, learner=options["learner"])
    from validators.ledger import open_ledger  # not for --help

    ledger = open_ledger(
        location,
        cluster_id=g.cluster_id(genesis),
        alias="continued",
        expect_existing=True,
        indexed=options["learner"],
    )
    try:
        if ledger.created:
            raise FoundingError(f"{location.name} holds no ledger.")
        continued = save(ledger, genesis, options["out"], began_with=folder.continued)
    finally:
        ledger.close()
    say(f"{options['out']}: the state of sequence {continued.sequence}, which {_names(continued)} signed.")
    say(_loss(continued))
    say(
        f"Next: check it (genesis continue show {options['out']}), and those of other ledgers: the one with "
        "the highest sequence loses least."
    )


def _show(options: dict[str, Any], say: Callable[[str], Any]) -> None:
    file = open_state(options["state"])
    continued = file.continued
    _check_known(file, options["old_chain"])
    tickets = _whole(file)
    say(f"old cluster  {continued.cluster.hex()}")
    at = f"sequence {continued.sequence}, epoch {continued.epoch}"
    say(f"certified    {at}, {time_text(continued.timestamp)}")
    say(f"state root   {continued.state_root.hex()}")
    say(f"log root     {continued.log_root.hex()}")
    for signer in continued.signers:
        say(f"signed by    {shown(signer.id)}  {signer.public_key.hex()}")
    counted = ", ".join(f"{count} {state}" for state, count in sorted(tickets.items())) or "none"
    say(f"tickets      {counted}")
    say(_loss(continued))
    say(
        f"Next: one party proposes the new cluster: genesis continue init {options['state']} --name NAME "
        "--members N --out FILE (for a demonstration by one hand: genesis continue demo)."
    )


def _init(options: dict[str, Any], say: Callable[[str], Any]) -> None:
    file = open_state(options["state"])
    _whole(file)
    terms = c.propose(
        options["name"],
        time.time_ns() // 1_000,
        options["members"],
        parameters_of(options),
        consensus=file.mode,
        continues=file.continued,
    )
    write_file(options["out"], c.begin(terms), replace=False)
    say(f"{options['out']}: {options['name']} is proposed.")
    say(_loss(file.continued))
    say(
        f"Next: hand {options['out']} and {options['state']} to all parties; each joins with a new data "
        f"folder (genesis join {options['out']}), then seals (genesis seal ... --state {options['state']})."
    )


def _demo(options: dict[str, Any], say: Callable[[str], Any]) -> None:
    from validators.data_folder.tcp_ports import LOOPBACK, choose_ports

    folder, count = ClusterFolder(options["data_dir"]), options["nodes"]
    if not 1 <= count <= quorum.MEMBERS_MAX:
        raise FoundingError(f"--nodes {count} is not between 1 and {quorum.MEMBERS_MAX}.")
    file = open_state(options["state"])
    _whole(file)
    if folder.genesis.exists():
        raise FoundingError(f"{folder.root} already holds a cluster: use another --data-dir.")
    try:
        ports = choose_ports([""] * count)
        create_demo_cluster(
            folder.root,
            count,
            LOOPBACK,
            ports,
            options["name"],
            consensus=file.mode,
            continues=file.continued,
        )
    except OSError as error:
        raise FoundingError(f"{folder.root} cannot be used: {error.strerror}.") from error
    put_in_place(options["state"], folder)
    say(f"{folder.root}: {counted(count, 'node')}.")
    say(_loss(file.continued))
    say(f"Next: start them with make up DATA={folder.root}")


def _install(options: dict[str, Any], say: Callable[[str], Any]) -> None:
    folder = ClusterFolder(options["data_dir"])
    put_in_place(options["state"], folder, options["id"])
    say(f"{folder.continued}: installed; nodes and platform load it at their first start.")
    say("Next: start them.")


_STEPS = {"save": _save, "show": _show, "init": _init, "demo": _demo, "install": _install}


def _location(folder: ClusterFolder, genesis: g.Genesis, name: str, *, learner: bool) -> Location:
    """Location of an old ledger; raises FoundingError if it does not exist, because opening it would create
    one."""
    url = environment.database_url()
    if learner:
        found = Location.choose(folder.learner, url=url, schema=LEARNER_SCHEMA)
    else:
        from validators.ledger import find_ledger  # not for --help

        found = find_place(find_ledger, folder.node(name), genesis, NodeOptions(platform_url=url)).location
    if not found.url and not found.database_file.exists():
        raise FoundingError(f"{found.database_file} does not exist: this folder holds no ledger.")
    return found


def _fitting(path: Path, continued: g.Continued) -> StateFile:
    """Opens the file; raises StateFileError unless its head is the one that the genesis names."""
    file = open_state(path)
    found = file.continued
    if msgspec.structs.replace(found, signers=continued.signers) == continued != found:
        raise StateFileError(
            f"{path} holds that state, under signatures of {_names(found)}, and the genesis names those of "
            f"{_names(continued)}: take the file that came with it."
        )
    if found != continued:
        raise StateFileError(
            f"{path} is the state of sequence {found.sequence} of cluster {found.cluster.hex()[:16]}, not "
            f"what the genesis names: sequence {continued.sequence} of {continued.cluster.hex()[:16]}."
        )
    return file


def _check_known(file: StateFile, known: Path | None) -> None:
    """Raises StateFileError if the state's chain contradicts or is shorter than the known chain of the old
    cluster: keys rotated out there could have signed it (R35)."""
    if known is None:
        return
    try:
        pins = tuple(epoch.link for epoch in read_chain(read_file(CHAIN, known)).epochs)
    except ProofError as error:
        raise StateFileError(
            f"{known} is not the genesis or epoch chain of the old cluster: {error}."
        ) from error
    try:
        read_chain(file.head.chain).pinned(pins)
    except ProofError as error:
        raise StateFileError(f"{file.path} is not proved through {known}: {error}.") from error


def _whole(file: StateFile) -> Counter[str]:
    """Number of tickets by state, after verifying every one of them."""
    tickets = (item for items in file.items() for item in items if len(item) == 2)
    with saying(f"the verification of every ticket in {file.path}"):
        return Counter(NAMES[read_head(item[0]).state] for item in tickets)


def _names(continued: g.Continued) -> str:
    return ", ".join(shown(signer.id) for signer in continued.signers)


def described(continued: g.Continued) -> str:
    """Description of the continued cluster for a member that seals the genesis."""
    place = f"sequence {continued.sequence}, epoch {continued.epoch}"
    return f"cluster {continued.cluster.hex()} at {place}, signed by {_names(continued)}: not proved by all"


def _loss(continued: g.Continued) -> str:
    return (
        f"What the old cluster acknowledged after sequence {continued.sequence} "
        f"({time_text(continued.timestamp)}) is not in it: a ticket admitted later can be admitted again."
    )
