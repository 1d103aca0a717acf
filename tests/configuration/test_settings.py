"""Flags over environment over file over defaults; and each key of the file takes effect (X18)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from django.core.management import call_command

from dtvn.files.whole import write_private
from dtvn.node.kept_ports import keep_ports, kept_port
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.logs import configure_logging, node_logger
from dtvn.node.options import ApiOptions, MetricsOptions, NodeOptions, StartError, UsageError
from dtvn.node.provision import create_demo_cluster
from dtvn.node.settings import SETTINGS, settings_of
from dtvn.node.start import get_ready
from dtvn.overlay.overlay import Settings as Overlay
from dtvn.protocol import genesis as g
from tests.support.table import table
from validators.management.commands.validator import flags

NOBODY: Mapping[str, str] = {}


class Told:
    """A command line, an environment and a file."""

    def __init__(self, tmp_path: Path) -> None:
        self.data = tmp_path / "data"
        self.file = tmp_path / "node.yaml"
        self.warnings: list[str] = []

    def write(self, content: Mapping[str, Any]) -> None:
        self.file.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")

    def ready(
        self, *arguments: str, environment: Mapping[str, str] = NOBODY
    ) -> tuple[NodeFolder, NodeOptions]:
        config = [] if not self.file.exists() else ["-config", str(self.file)]
        given = vars(flags().parse([*config, "-data-dir", str(self.data), *arguments]))
        settings = settings_of(given, environment)
        return get_ready(settings, environment, lambda text: None, self.warnings.append)

    def options(self, *arguments: str, environment: Mapping[str, str] = NOBODY) -> NodeOptions:
        return self.ready("-dev-keys", *arguments, environment=environment)[1]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_an_empty_key_flag_leaves_the_key_of_the_environment(told: Told) -> None:
    key = lambda *given: told.options(*given, environment={"DTVN_API_KEY": "k"}).api.key  # noqa: E731
    assert [key(*given) for given in ((), ("-api-key", ""), ("-api-key=",), ("-api-key=o",))] == list("kkko")
    assert told.options("-api-key", "").api.key == ""


def test_every_setting_names_its_source(told: Told) -> None:
    told.write({"node": {"id": "node1"}, "gossip": {"ttl": 4}})
    given = vars(flags().parse(["-config", str(told.file), "-id=node2"]))
    settings = settings_of(given, {"DTVN_LOGGING_LEVEL": "warn"})
    assert settings.source("node.id") == "-id"
    assert settings.source("gossip.ttl") == f"{told.file}:2"
    assert settings.source("logging.level") == "DTVN_LOGGING_LEVEL"
    assert settings.source("node.data_dir") == "default"
    assert not settings.given("node.data_dir")


@table(
    ("arguments", "environment", "message"),
    [
        (["-port", "abc"], {}, "-port: 'abc' is not a whole number"),
        (["-port", "0"], {}, "-port: 0 is not between 1 and 65535"),
        (["-total-nodes", "0"], {}, "-total-nodes: 0 is not between 1 and 31"),
        (["-total-nodes", "-1"], {}, "-total-nodes: -1 is not between 1 and 31"),
        (["-id", ""], {}, "-id: '' is not a valid node name"),
        (["-data-dir", ""], {}, "-data-dir: '' is empty"),
        ([], {"DTVN_METRICS_ENABLED": "maybe"}, "DTVN_METRICS_ENABLED: 'maybe' is neither true nor false"),
        ([], {"DTVN_STORAGE_TIMEOUT": "5"}, "DTVN_STORAGE_TIMEOUT: '5' is not a duration"),
        ([], {"DTVN_API_KEY": "geheim\n"}, "DTVN_API_KEY: is not usable"),
    ],
    count=9,
)
def test_a_mistake_names_the_flag_or_the_variable(
    arguments: list[str], environment: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        settings_of(vars(flags().parse(arguments)), environment)
    assert str(caught.value).startswith(message)
    assert "geheim" not in str(caught.value)


def test_x18_each_key_of_the_file_takes_effect(told: Told, tmp_path: Path) -> None:
    peer = "/ip4/10.0.0.2/tcp/7002/p2p/12D3KooWLutZMPvGqmBRemeWiqK8czvxHzbaEjFGJadjdNAwBBsP"
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("<!doctype html>")
    told.write(
        {
            "node": {"id": "node1", "data_dir": str(tmp_path / "elsewhere")},
            "network": {"listen_port": 5001, "bootstrap_mode": True, "bootstrap_peers": [peer]},
            "api": {"address": "127.0.0.3", "port": 8181, "enable_cors": False, "static_dir": str(page)},
            "consensus": {
                "is_primary": True,
                "total_nodes": 5,
                "view_timeout": "1.5s",
                "checkpoint_interval": 20,
            },
            "gossip": {"fanout": 2, "ttl": 3, "cache_size": 500, "anti_entropy_interval": "700ms"},
            "storage": {"type": "boltdb", "path": str(tmp_path / "store"), "timeout": "3s"},
            "metrics": {"enabled": True, "address": "127.0.0.2", "port": 9191},
            "logging": {"level": "debug", "format": "json", "output": str(tmp_path / "log")},
        }
    )
    given = vars(flags().parse(["-config", str(told.file), "-dev-keys"]))
    settings = settings_of(given, NOBODY)
    folder, options = get_ready(settings, NOBODY, lambda text: None, told.warnings.append)
    genesis = g.decode(folder.genesis.read_bytes())
    assert folder.root == tmp_path / "elsewhere" / "nodes" / "node1"
    assert options == NodeOptions(
        bind=("127.0.0.1", 5001),
        addresses={2: ("10.0.0.2", 7002)},
        index=1,
        ledger_folder=tmp_path / "store",
        ledger_patience=3_000_000_000,
        remembered_max=500,
        overlay=Overlay("member", fanout=2, ttl=3, cache_size=500, anti_entropy_interval=700_000_000),
        status_idle=700_000_000,
        metrics=MetricsOptions(port=9191, host="127.0.0.2", needed=True),
        api=ApiOptions(port=8181, host="127.0.0.3", cors=False, static=str(page), needed=True),
    )
    assert len(genesis.members) == 5
    assert genesis.parameters.view_timeout == 1_500_000
    assert genesis.parameters.checkpoint_interval == 20


def test_settings_shared_by_all_members_must_equal_genesis(told: Told) -> None:
    create_demo_cluster(told.data, nodes=2, host="127.0.0.1", ports=[41001, 41002])
    told.write({"consensus": {"view_timeout": "800ms", "checkpoint_interval": 10, "total_nodes": 2}})
    told.ready("-id", "node1")
    for key, value, message in (
        ("view_timeout", "5s", "consensus.view_timeout: 5s, but the genesis of this cluster says 800ms"),
        ("checkpoint_interval", 100, "consensus.checkpoint_interval: 100, but the genesis .* says 10"),
        ("total_nodes", 7, "consensus.total_nodes: 7, but the genesis of this cluster says 2"),
    ):
        told.write({"consensus": {key: value}})
        with pytest.raises(UsageError, match=message):
            told.ready("-id", "node1")


def test_a_ledgers_server_is_the_nodes_own_setting_in_the_environment(told: Told) -> None:
    own, platforms = "postgresql://u:p@h/d", "postgresql://u:p@platform/d"
    found = told.options(environment={"DTVN_STORAGE_URL": own, "DATABASE_URL": platforms})
    assert (found.own_url, found.platform_url) == (own, platforms)
    told.write({"storage": {"type": "sqlite"}})
    assert told.options(environment={"DTVN_STORAGE_URL": own}).own_url == own
    for beside in ({}, {"DATABASE_URL": platforms}):
        with pytest.raises(UsageError, match="contradict"):
            told.options(environment={"DTVN_STORAGE_URL": own, "DTVN_STORAGE_TYPE": "sqlite", **beside})


def test_the_platforms_database_holds_a_ledger_only_if_the_type_says_so(told: Told) -> None:
    platforms = {"DATABASE_URL": "postgresql://u:p@platform/d"}
    assert told.options(environment=platforms).own_url == ""
    assert told.options(environment=platforms | {"DTVN_STORAGE_TYPE": "sqlite"}).own_url == ""
    told.write({"storage": {"type": "postgresql"}})
    assert told.options(environment=platforms).own_url == platforms["DATABASE_URL"]
    with pytest.raises(UsageError, match="needs DTVN_STORAGE_URL"):
        told.options()


def test_metrics_are_off_or_on_the_given_kept_or_default_port(told: Told) -> None:
    assert told.options("-metrics-port", "0").metrics is None
    assert told.options(environment={"DTVN_METRICS_ENABLED": "false"}).metrics is None
    assert told.options("-id", "node2").metrics == MetricsOptions(port=9092)
    assert told.options("-metrics-port", "9500").metrics == MetricsOptions(port=9500, needed=True)
    folder = ClusterFolder(told.data).node("node0")
    keep_ports([folder], "metrics", lambda count: [12345])
    assert told.options().metrics == MetricsOptions(port=12345)


def test_kept_ports_are_chosen_once(told: Told) -> None:
    create_demo_cluster(told.data, nodes=3, host="127.0.0.1", ports=[1, 2, 3])
    folders = [ClusterFolder(told.data).node(f"node{number}") for number in range(3)]
    free = iter(range(20_000, 21_000))

    def choose(names: list[str]) -> list[int]:
        return [next(free) for _ in names]

    first = keep_ports(folders[:2], "metrics", choose)
    assert keep_ports(folders, "metrics", choose) == {**first, "node2": 20_002}
    assert keep_ports(folders, "api", choose)["node0"] == 20_003
    assert kept_port(folders[1], "metrics") == 20_001
    (folders[0].root / "ports.json").write_text("[1]")
    with pytest.raises(StartError, match=r"ports\.json cannot be read"):
        kept_port(folders[0], "metrics")


def test_the_api_is_closed_to_other_machines_unless_a_host_is_given(told: Told) -> None:
    assert told.options("-id", "node2").api == ApiOptions(port=8082, needed=True)
    assert told.options("-host", "192.0.2.7", "-api-key", "geheim").api == ApiOptions(
        port=8080, host="192.0.2.7", key="geheim", needed=True
    )
    assert told.warnings[-1].startswith("WARNING: -dev-keys"), "a key was given"
    told.options("-host", "192.0.2.7", "-api-port", "8181")
    assert "asks for no key" in told.warnings[-1]
    assert told.options("-api-port", "0").api is None
    assert "geheim" not in "".join(told.warnings)


def test_a_node_that_a_platform_runs_keeps_the_port_and_the_key_of_its_api(told: Told) -> None:
    """An API without a key would bypass the keys of the platform."""
    create_demo_cluster(told.data, nodes=1, host="127.0.0.1", ports=[1])
    folder = ClusterFolder(told.data).node("node0")
    keep_ports([folder], "api", lambda _names: [18_080])
    write_private(folder.api_token, b"own\n")
    kept = ApiOptions(port=18_080, key="own", closed=True, needed=True)
    assert told.ready("-id", "node0")[1].api == kept
    given = told.ready("-id", "node0", "-api-key", "given")[1].api
    assert given == msgspec.structs.replace(kept, key="given")


def test_a_folder_without_a_page_is_no_static_folder(told: Told) -> None:
    with pytest.raises(UsageError, match="-static-dir: there is no index"):
        told.options("-static-dir", str(told.data))


@pytest.fixture
def bare_logging() -> Iterator[None]:
    """Restores the root logger after the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
        if handler not in handlers:
            handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


def test_logs_are_written_as_configured(tmp_path: Path, bare_logging: None) -> None:
    output = tmp_path / "node.log"
    environment = {
        "DTVN_LOGGING_LEVEL": "warn",
        "DTVN_LOGGING_FORMAT": "json",
        "DTVN_LOGGING_OUTPUT": str(output),
    }
    configure_logging(settings_of({}, environment))
    logger = node_logger(tmp_path / "node7")
    logger.info("quiet")
    logger.warning("muted peer=%s", '"x"')
    [line] = output.read_text(encoding="utf-8").splitlines()
    said = msgspec.json.decode(line)
    assert (said["level"], said["logger"], said["message"]) == (
        "warning",
        "dtvn.node.node7",
        'muted peer="x"',
    )
    assert said["time"].endswith("Z")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def test_an_unwritable_log_is_a_clear_error(tmp_path: Path, bare_logging: None) -> None:
    with pytest.raises(StartError, match=r"logging\.output: .* cannot be written: Is a directory"):
        configure_logging(settings_of({}, {"DTVN_LOGGING_OUTPUT": str(tmp_path)}))


def shown(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("config", *arguments, stdout=out, **options)
    return out.getvalue()


def test_config_show_prints_values_and_sources_but_no_secret(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.write({"metrics": {"port": 9001}})
    monkeypatch.setenv("DTVN_API_KEY", "geheim-key")
    monkeypatch.setenv("DTVN_KEY_SEED", "geheim-seed")
    monkeypatch.setenv("DTVN_SECRET_KEY", "geheim-signing")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:geheim@db/tickets")
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://:geheim@cache:6379/1")
    text = shown(show=True, config=str(told.file), id="node3")
    assert "geheim" not in text
    rows = [line.split() for line in text.splitlines()]
    assert ["port:", "9001", "#", f"{told.file}:2"] in rows
    assert ["id:", "node3", "#", "-id"] in rows
    assert ["key:", "(set,", "not", "shown)", "#", "DTVN_API_KEY"] in rows
    assert ["CELERY_BROKER_URL:", "redis://cache:6379/", "#", "CELERY_BROKER_URL"] in rows
    names = {line.strip().partition(":")[0] for line in text.splitlines()}
    assert {setting.key.partition(".")[2] for setting in SETTINGS} <= names


@pytest.mark.parametrize(
    ("name", "value", "told_instead"),
    [
        ("DATABASE_URL", "postgresql://me:geheim@h/db?sslkey=geheim", "postgresql://h/"),
        ("DATABASE_URL", "host=h password=geheim", "(set, not shown)"),
        ("CELERY_BROKER_URL", "amqp://a:geheim@h1;amqp://b:geheim@h2", "amqp://h1;amqp/"),
        ("DTVN_WS_ORIGINS", "https://a.example,https://b.example", "https://a.example,https://b.example"),
    ],
)
def test_config_show_hides_secrets_anywhere_in_a_url(
    name: str, value: str, told_instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    text = shown(show=True)
    assert "geheim" not in text
    (row,) = (line for line in text.splitlines() if line.startswith(f"{name}:"))
    assert row == f"{name + ':':<26} {told_instead:<28} # {name}"


def test_yaml_nested_too_deep_is_a_clear_error(
    tmp_path: Path, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    told.file.write_text("[" * 5_000, encoding="ascii")
    err = StringIO()
    with pytest.raises(SystemExit) as ended:
        shown(config=str(told.file), stderr=err)
    assert ended.value.code == 2
    assert "nested too deep" in err.getvalue()


def test_config_without_show_prints_problems_only(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown() == ""
    told.write({"metrics": {"prot": 9001}})
    err = StringIO()
    with pytest.raises(SystemExit) as ended:
        shown(config=str(told.file), stderr=err)
    assert ended.value.code == 2
    assert "metrics.prot: unknown key; the nearest is metrics.port" in err.getvalue()
