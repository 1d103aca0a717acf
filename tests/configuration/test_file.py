"""The configuration file: each mistake is one line with its key and position."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtvn.node.config_file import read_config
from dtvn.node.options import UsageError
from dtvn.node.settings import KEYS, settings_of

REPOSITORY = Path(__file__).resolve().parent.parent.parent
TEMPLATE = REPOSITORY / "config" / "validator.yaml"
PROMISED = {
    "node.id": "validator-1",
    "node.data_dir": "./data/validator-1",
    "network.listen_port": 4001,
    "network.bootstrap_mode": False,
    "network.bootstrap_peers": [],
    "api.address": "0.0.0.0",  # noqa: S104 - as in the contract
    "api.port": 8080,
    "api.enable_cors": True,
    "consensus.is_primary": False,
    "consensus.total_nodes": 7,
    "consensus.view_timeout": "5s",
    "consensus.checkpoint_interval": 100,
    "gossip.fanout": 3,
    "gossip.ttl": 10,
    "gossip.cache_size": 10000,
    "gossip.anti_entropy_interval": "5s",
    "storage.type": "boltdb",
    "storage.path": "./data/validator-1/db",
    "storage.timeout": "10s",
    "metrics.enabled": True,
    "metrics.address": "0.0.0.0",  # noqa: S104 - as in the contract
    "metrics.port": 9090,
    "logging.level": "info",
    "logging.format": "json",
    "logging.output": "stdout",
}
"""The Go DTVN's table, copied by hand."""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "validator.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problem(tmp_path: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        settings_of({"config": write(tmp_path, text)}, {})
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{tmp_path}/validator.yaml")


def test_the_shipped_template_has_the_keys_and_values_of_the_contract() -> None:
    found = read_config(TEMPLATE, KEYS)
    assert {key: value.value for key, value in found.items()} == PROMISED
    settings_of({"config": TEMPLATE}, {})


@pytest.mark.parametrize("text", ["", "# nothing\n", "node:\n", "node: {}\nmetrics:\n"])
def test_an_empty_file_changes_nothing(tmp_path: Path, text: str) -> None:
    assert read_config(write(tmp_path, text), KEYS) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "consensus:\n  total_node: 7\n",
            ":2: consensus.total_node: unknown key; the nearest is consensus.total_nodes",
        ),
        (
            "node:\n  listen_port: 1\n",
            ":2: node.listen_port: unknown key; the nearest is network.listen_port",
        ),
        ("port: 4001\n", ":1: port: unknown section; the nearest is api.port"),
        ("total_nodes: 7\n", ":1: total_nodes: unknown section; the nearest is consensus.total_nodes"),
        ("consens:\n  total_nodes: 7\n", ":1: consens: unknown section; the nearest is consensus"),
        ("api:\n  key: geheim\n", ":2: api.key: no secrets in files; set it with DTVN_API_KEY"),
        ("node:\n  id: a\n  id: b\n", ":3: node.id: is given twice (first at "),
        ("node:\n  7: b\n", ":2: node.7: unknown key; the nearest is node.id"),
        ("node:\n  [a]: b\n", ":2: node.(no name): unknown key; the nearest is "),
        ("- node\n", ":1: no sections (node:, network:, ...)"),
        ("node: node0\n", ":1: node: a section with keys is needed here"),
        ("node:\n\tid: a\n", ":2: found character '\\t' that cannot start any token"),
        ("node:\n  id: !!python/object:os.system x\n", ":2: node.id: cannot be read"),
        ("node:\n  id: 7\n", ":2: node.id: 7 is not text; put it in quotes"),
        ("node:\n  id: ../up\n", ":2: node.id: '../up' is not a valid node name"),
        ("metrics:\n  port: '9090'\n", ":2: metrics.port: '9090' is not a whole number"),
        ("metrics:\n  port: true\n", ":2: metrics.port: True is not a whole number"),
        ("metrics:\n  port: 65536\n", ":2: metrics.port: 65536 is not between 0 and 65535"),
        ("metrics:\n  enabled: 1\n", ":2: metrics.enabled: 1 is neither true nor false"),
        ("metrics:\n  port:\n", ":2: metrics.port: None is not a whole number"),
        (
            "network:\n  bootstrap_peers: /ip4/1.2.3.4\n",
            ":2: network.bootstrap_peers: is not a list of texts",
        ),
        ("consensus:\n  view_timeout: 5\n", ":2: consensus.view_timeout: 5 is not a duration such as 300ms"),
        ("consensus:\n  view_timeout: 5 s\n", ":2: consensus.view_timeout: '5 s' is not a duration"),
        ("consensus:\n  view_timeout: 1ms\n", ":2: consensus.view_timeout: 1ms is not between 50ms and 1m"),
        ("logging:\n  level: loud\n", ":2: logging.level: 'loud' is not one of debug, info, warn, "),
        ("storage:\n  type: mysql\n", ":2: storage.type: 'mysql' is not one of sqlite, boltdb, postgresql"),
    ],
)
def test_a_mistake_is_one_line_with_place_and_key(tmp_path: Path, text: str, message: str) -> None:
    assert problem(tmp_path, text).startswith(message)


def test_a_mistake_is_reported_although_a_flag_overrides_it(tmp_path: Path) -> None:
    path = write(tmp_path, "metrics:\n  port: x\n")
    with pytest.raises(UsageError, match=r":2: metrics\.port: 'x' is not a whole number"):
        settings_of({"metrics_port": "9090", "config": path}, {})


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"node:\n  id: \x07\n", b"x" * (1024 * 1024 + 1)])
def test_binary_data_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "validator.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"validator\.yaml"):
        read_config(path, KEYS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"-config .*/absent: No such file"):
        read_config(tmp_path / "absent", KEYS)


def test_nested_aliases_are_refused_without_expansion(tmp_path: Path) -> None:
    """Each level doubles the one before: written out this would be two to the power of forty items."""
    levels = "".join(f"    - &a{n + 1} [*a{n}, *a{n}]\n" for n in range(40))
    text = f"network:\n  bootstrap_peers:\n    - &a0 [x, x]\n{levels}"
    assert problem(tmp_path, text) == ":2: network.bootstrap_peers: is not a list of texts"
