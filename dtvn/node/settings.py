"""All settings of a node in one table, and their values: flags over environment over file over defaults.
A resolved value includes its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dtvn.node import kinds
from dtvn.node.config_file import read_config
from dtvn.node.kinds import Kind
from dtvn.node.options import UsageError
from dtvn.overlay.messages import TTL_MAX
from dtvn.protocol import quorum
from dtvn.protocol.genesis import Parameters
from dtvn.protocol.wire import VERIFIED_CACHE_MAX

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND
FIRST_MEMBER_PORT = 4_001
"""Port on which node0 listens to the other members; nodeK has this plus K."""
PORT_MAX = 65_535
DEFAULT = "default"
UNCHANGED = "accepted for compatibility: "


class Setting(msgspec.Struct, frozen=True):
    """One row of the table."""

    key: str
    """section.key in the file; the setting's name everywhere."""
    kind: Kind
    default: Any
    text: str
    flag: str = ""
    """The flag without its dash; "": no flag."""
    variable: str = ""
    """Name of the environment variable; "": DTVN_SECTION_KEY."""
    switch: bool = False
    secret: bool = False
    """Whether the value is secret: never shown, and not allowed in a file, which other users may read."""

    @property
    def shown_default(self) -> str:
        """The default as an operator would write it; "" if it depends on other settings."""
        return "" if self.default is None else self.kind.show(self.default)

    @property
    def environment(self) -> str:
        """Name of its environment variable."""
        return self.variable or "DTVN_" + self.key.replace(".", "_").upper()


_PORT = kinds.number(1, PORT_MAX)
_ON_OFF = kinds.boolean()
_LINE = kinds.text()
_PATH = kinds.text(rule=bool, what="is empty")
_PARAMETERS = Parameters()

SETTINGS: tuple[Setting, ...] = (
    Setting("node.id", kinds.node_id(), "node0", "name of this node", "id"),
    Setting("node.data_dir", _PATH, "./data", "the node's data folder", "data-dir"),
    Setting("node.genesis", _LINE, "", "genesis file, as sealed by all parties", "genesis"),
    Setting(
        "node.dev_keys",
        _ON_OFF,
        False,
        "derive all keys from node names (anyone can): never for real tickets",
        "dev-keys",
        switch=True,
    ),
    Setting(
        "network.listen_port",
        _PORT,
        None,
        f"TCP port for members and gateways (default: from the genesis; -dev-keys: {FIRST_MEMBER_PORT} + k)",
        "port",
    ),
    Setting(
        "network.listen_address",
        _PATH,
        None,
        "address to listen on (default: from the genesis; -dev-keys: 127.0.0.1)",
        "host",
    ),
    Setting(
        "network.bootstrap_mode",
        _ON_OFF,
        False,
        "keep others' addresses; a node that is no member does nothing else",
        "bootstrap-node",
        switch=True,
    ),
    Setting(
        "network.bootstrap_peers",
        kinds.names(),
        "",
        "multiaddrs of members to ask where the others are; one is enough, commas between several",
        "bootstrap",
    ),
    Setting(
        "network.via",
        _LINE,
        "",
        "multiaddr of a splice at which others dial this node, which they cannot reach itself",
        "via",
    ),
    Setting(
        "api.address",
        _PATH,
        None,
        "address of this node's own API (default: -host; else 127.0.0.1 with -dev-keys and demonstration "
        "networks, 0.0.0.0 with others)",
    ),
    Setting(
        "api.port",
        kinds.number(0, PORT_MAX),
        None,
        "port of this node's own API, 0 for none (default 8080; -dev-keys: 8080 + k)",
        "api-port",
    ),
    Setting("api.enable_cors", _ON_OFF, True, "answer with CORS headers"),
    Setting(
        "api.key", _LINE, "", "key that its API requires", "api-key", variable="DTVN_API_KEY", secret=True
    ),
    Setting(
        "api.static_dir",
        _LINE,
        "",
        "folder of a web page to serve at / (default: web/static, if it is here or up to two folders above)",
        "static-dir",
    ),
    Setting(
        "consensus.is_primary",
        _ON_OFF,
        False,
        UNCHANGED + "the view determines the primary",
        "primary",
        switch=True,
    ),
    Setting(
        "consensus.total_nodes",
        kinds.number(1, quorum.MEMBERS_MAX),
        None,
        "members with -dev-keys: node0 to node(n-1) (default 4); else it must match the genesis",
        "total-nodes",
    ),
    Setting(
        "consensus.view_timeout",
        kinds.duration(50 * MILLISECOND, 60 * SECOND),
        None,
        "T at rest, for all members alike: with -dev-keys taken from here (default "
        f"{_PARAMETERS.view_timeout // 1_000}ms), else it must match the genesis",
    ),
    Setting(
        "consensus.checkpoint_interval",
        kinds.number(1, 10_000),
        None,
        "sequences between checkpoints: with -dev-keys taken from here (default "
        f"{_PARAMETERS.checkpoint_interval}), else it must match the genesis",
    ),
    Setting(
        "gossip.fanout",
        kinds.number(1, 1_000),
        3,
        "followers that the log is pushed to, besides the platform; further ones are referred to these",
    ),
    Setting(
        "gossip.ttl", kinds.number(1, 1_000), 10, f"most hops of a rumour among followers, up to {TTL_MAX}"
    ),
    Setting(
        "gossip.cache_size",
        kinds.number(16, 10_000_000),
        VERIFIED_CACHE_MAX,
        "verified messages that are remembered, and as many rumours: copies are not verified again",
    ),
    Setting(
        "gossip.anti_entropy_interval",
        kinds.duration(200 * MILLISECOND, 10 * SECOND),
        None,
        "how often addresses are compared with one peer (default 5s), and an idle backup reports its "
        "progress (default 1s)",
    ),
    Setting(
        "storage.type",
        kinds.choice("sqlite", "boltdb", "postgresql"),
        "sqlite",
        "sqlite (boltdb means the same: a file of the node), or postgresql at DTVN_STORAGE_URL",
    ),
    Setting("storage.path", _LINE, "", "folder of the ledger (default: in the node's own)"),
    Setting(
        "storage.timeout",
        kinds.duration(0, 300 * SECOND),
        10 * SECOND,
        "how long a start waits for a ledger that another process still uses",
    ),
    Setting("storage.url", _LINE, "", "postgresql://... for the ledger", secret=True),
    Setting("metrics.enabled", _ON_OFF, True, "serve metrics"),
    Setting("metrics.address", _PATH, "127.0.0.1", "address that metrics are served on"),
    Setting(
        "metrics.port",
        kinds.number(0, PORT_MAX),
        None,
        "port that metrics are served on, 0 for none (default 9090; -dev-keys: 9090 + k)",
        "metrics-port",
    ),
    Setting("logging.level", kinds.choice("debug", "info", "warn", "warning", "error"), "info", "log level"),
    Setting("logging.format", kinds.choice("text", "json"), "text", "text or json"),
    Setting("logging.output", _PATH, "stdout", "stdout, stderr, or a file"),
)
KEYS: dict[str, Setting] = {setting.key: setting for setting in SETTINGS}


class Resolved(msgspec.Struct, frozen=True):
    """A value and its source."""

    value: Any
    source: str
    """`-flag`, the name of a variable, `path:line`, or `default`."""

    @property
    def given(self) -> bool:
        """Whether the value was given, that is, is not the default."""
        return self.source != DEFAULT


class Settings(msgspec.Struct, frozen=True):
    """All of the table's keys."""

    resolved: Mapping[str, Resolved]

    def __getitem__(self, key: str) -> Any:
        """The value of a key."""
        return self.resolved[key].value

    def given(self, key: str) -> bool:
        """Whether a value was given for a key."""
        return self.resolved[key].given

    def source(self, key: str) -> str:
        """The source of a key's value."""
        return self.resolved[key].source


def settings_of(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """All settings, from command line, environment and file together. `flags`: values by flag name with
    underscores, None for flags not given; `config` names the file.

    Raise UsageError with one line that names the flag, the variable, or the file's line and key.
    """
    from_file = _from_file(Path(flags["config"])) if flags.get("config") else {}
    resolved: dict[str, Resolved] = {}
    for setting in SETTINGS:
        spelled = flags.get(setting.flag.replace("-", "_")) if setting.flag else None
        variable = environment.get(setting.environment, "")
        if setting.secret and spelled == "":
            spelled = None  # an empty key counts as not given: the environment's key stays in force
        if spelled is not None:
            source = f"-{setting.flag}"
            resolved[setting.key] = Resolved(_read(setting, source, spelled), source)
        elif variable:
            source = setting.environment
            resolved[setting.key] = Resolved(_read(setting, source, variable), source)
        elif setting.key in from_file:
            resolved[setting.key] = from_file[setting.key]
        else:
            resolved[setting.key] = Resolved(setting.default, DEFAULT)
    return Settings(resolved)


def _from_file(file: Path) -> dict[str, Resolved]:
    """All values of the file; raise UsageError for an invalid one, even if a flag or variable wins."""
    read: dict[str, Resolved] = {}
    for key, found in read_config(file, KEYS).items():
        if KEYS[key].secret:
            raise UsageError(
                f"{found.place}: {key}: no secrets in files; set it with {KEYS[key].environment}"
            )
        try:
            read[key] = Resolved(KEYS[key].kind.check(found.value), found.place)
        except ValueError as error:
            raise UsageError(f"{found.place}: {key}: {error}") from error
    return read


def _read(setting: Setting, source: str, spelled: Any) -> Any:
    """Read a value from a flag or the environment; call_command may pass a value instead of its text."""
    text = setting.kind.show(spelled) if not isinstance(spelled, str) else spelled
    try:
        return setting.kind.read_text(text)
    except ValueError as error:
        shown = "is not usable" if setting.secret else str(error)
        raise UsageError(f"{source}: {shown}") from error
