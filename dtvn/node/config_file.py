"""Reads `-config FILE`: YAML of sections and keys, each value with its line number."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
import yaml

from dtvn.node.options import UsageError

BYTES_MAX = 1024 * 1024


class FileValue(msgspec.Struct, frozen=True):
    """A value of the file."""

    value: Any
    place: str
    """`path:line`."""


def read_config(path: Path, known: Collection[str]) -> dict[str, FileValue]:
    """Every `section.key` of the file; raise UsageError for a key that is unknown or occurs twice."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"-config {path}: {error.strerror}") from error
    if len(content) > BYTES_MAX:
        raise UsageError(f"-config {path}: larger than {BYTES_MAX} bytes")
    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(_unreadable(path, error)) from error
    except RecursionError as error:
        raise UsageError(f"-config {path}: nested too deeply") from error
    found: dict[str, FileValue] = {}
    if root is None:
        return found
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{path}:1: no sections (node:, network:, ...)")
    for section, inside in root.value:
        _read_section(path, section, inside, known, found)
    return found


def nearest(key: str, known: Collection[str]) -> str:
    """The most similar known key: one with the same name in another section, else the closest spelling."""
    last = key.rpartition(".")[2]
    same = [name for name in known if name.rpartition(".")[2] == last]
    return difflib.get_close_matches(key, same or known, n=1, cutoff=0.0)[0]


def _read_section(
    path: Path, section: yaml.Node, inside: yaml.Node, known: Collection[str], found: dict[str, FileValue]
) -> None:
    name, line = _name(section), section.start_mark.line + 1
    sections = sorted({key.partition(".")[0] for key in known})
    if name not in sections:
        value = isinstance(inside, yaml.ScalarNode) and bool(inside.value)  # a key without its section
        likely = nearest(name, known if value else sections)
        raise UsageError(f"{path}:{line}: {name}: unknown section; the nearest is {likely}")
    if isinstance(inside, yaml.ScalarNode) and inside.tag == "tag:yaml.org,2002:null":
        return
    if not isinstance(inside, yaml.MappingNode):
        raise UsageError(f"{path}:{line}: {name}: a section with keys is needed here")
    for key_node, value_node in inside.value:
        key, line = f"{name}.{_name(key_node)}", key_node.start_mark.line + 1
        if key not in known:
            raise UsageError(f"{path}:{line}: {key}: unknown key; the nearest is {nearest(key, known)}")
        if key in found:
            raise UsageError(f"{path}:{line}: {key}: is given twice (first at {found[key].place})")
        found[key] = FileValue(_value(path, key, value_node), f"{path}:{line}")


def _name(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else "(no name)"


def _value(path: Path, key: str, node: yaml.Node) -> Any:
    """The plain data of a YAML node; raise UsageError for objects and references to itself."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{path}:{node.start_mark.line + 1}: {key}: cannot be read") from error
    finally:
        loader.dispose()


def _unreadable(path: Path, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"{path}:{mark.line + 1}" if mark is not None else str(path)
    problem = getattr(error, "problem", None) or "not valid YAML"
    return f"{place}: {problem}"
