"""Writers of a replica's state: one module for each part (WRITERS); by field where several write (SHARED)."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import dtvn.protocol.consensus as consensus
from dtvn.protocol.consensus.raft import parts as raft
from dtvn.protocol.consensus.state import SHARED, WRITERS
from dtvn.protocol.quorum import Mode
from tests.consensus.helpers import Cluster

FOLDER = Path(consensus.__file__).parent
OF_RAFT = frozenset((FOLDER / "raft").glob("*.py"))
OTHERS = frozenset(FOLDER.rglob("*.py")) - OF_RAFT
BECOME = {"become_follower", "become_holding", "become_voting", "become_changing", "become_normal"}
"""Transitions of the modes. Three subprotocols end a core: test_modes names them."""
TABLES = {key.partition(".")[0] for key in SHARED}
READS = {"digests", "effective", "find", "first_proposed", "get", "inside", "known", "log_root", "refuse"}
READS |= {"late", "of_member", "of_quorum", "shortest"}
READS |= {"differences", "holds_back", "machines", "said", "sequence_of", "time", "unexecuted"}
"""Methods of the tables that change nothing; every other method of a table needs a row."""
CHANGES = {"append", "add", "clear", "discard", "extend", "pop", "remove", "setdefault", "update"}


def chain(node: ast.expr) -> list[str]:
    """The names in an attribute chain: `self.state.lag.since` -> [self, state, lag, since]."""
    names: list[str] = []
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(node, ast.Attribute):
            names.append(node.attr)
        node = node.func if isinstance(node, ast.Call) else node.value
    return [*([node.id] if isinstance(node, ast.Name) else []), *reversed(names)]


def targets(tree: ast.AST) -> Iterator[ast.expr]:
    """Expressions that a module assigns to, deletes, or changes by a method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from target.elts if isinstance(target, ast.Tuple) else [target]
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            yield node.target
        elif isinstance(node, ast.Delete):
            yield from node.targets
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES
        ):
            yield node.func.value
        elif isinstance(node, ast.Attribute) and node.attr in BECOME:
            yield node


def aliases(tree: ast.AST) -> dict[str, str]:
    """Attribute or name -> the part of the state that it is another name of."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
            names = chain(node.value)
            if names[-1] in WRITERS and "state" in names:
                found[chain(node.targets[0])[-1]] = names[-1]
    return found


def written(path: Path) -> set[str]:
    """The parts that a module writes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    other = aliases(tree)
    found = set()
    for target in targets(tree):
        names = chain(target)
        for name in names[:-1]:
            if name in other:
                found.add(other[name])
        if "state" in names and names[names.index("state") + 1 :][:1]:
            part = names[names.index("state") + 1]
            if part in WRITERS and part != names[-1]:
                found.add(part)
    return found


def test_each_part_of_the_state_is_written_by_one_subprotocol() -> None:
    assert writers(OTHERS) == {part: {module} for part, module in WRITERS.items()}


def test_each_part_of_the_state_of_a_raft_member_is_written_by_one_subprotocol() -> None:
    assert writers(OF_RAFT) == {part: {module} for part, module in raft.WRITERS.items()}
    core = Cluster(3, mode=Mode.RAFT)[0].core
    classes = [kind for part in vars(core).values() for kind in type(part).__mro__]
    modules = {kind.__module__.rpartition(".")[2] for kind in classes}
    assert set(raft.WRITERS.values()) <= modules
    assert not {WRITERS[part] for part in raft.WRITERS} & modules
    assert {module for part, module in WRITERS.items() if part not in raft.WRITERS} <= modules


def writers(paths: Iterable[Path]) -> dict[str, set[str]]:
    """Part of the state -> the modules among these that write it."""
    found: dict[str, set[str]] = {}
    for path in paths:
        if path.stem != "state":
            for part in written(path):
                found.setdefault(part, set()).add(path.stem)
    return found


def shared_writes(path: Path) -> Iterator[str]:
    """What a module changes of the shared tables, as keys of SHARED; a slot counts wherever it was found.
    Modules of Raft have a log of their own: there a table counts that is named as one of the state."""
    of_raft = path in OF_RAFT
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for target in targets(tree):
        names = ["slot" if name == "slots" else name for name in chain(target)]
        held = [place for place, name in enumerate(names[:-1]) if name in TABLES]
        if held and (not of_raft or "state" in names[: held[-1]]):
            yield f"{names[held[-1]]}.{names[held[-1] + 1]}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            holder, table, method = ["", "", *chain(node)][-3:]
            held_here = not of_raft or holder == "state"
            if table in TABLES and held_here and method not in READS:
                yield f"{table}.{method}"


def test_only_the_named_modules_change_a_shared_table() -> None:
    for paths, table in ((OTHERS, SHARED), (OF_RAFT, raft.SHARED)):
        found: dict[str, set[str]] = {}
        for path in paths:
            for key in shared_writes(path):
                found.setdefault(key, set()).add(path.stem)
        assert found == table


def test_a_state_prints_itself_in_one_line() -> None:
    cluster = Cluster(4)
    cluster.request("T-1")
    cluster.stabilize()
    assert str(cluster[1].core.state) == (
        "member 1 of 4, epoch 0: in view 0, vote voting; executed 1, stable 0, "
        "1 open slots; T 800 ms; lag to 0"
    )
