"""What command lines, environments and files make of a node: where it listens, what it says, and what it
refuses with which sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dtvn.files.whole import write_private
from dtvn.net import encode_seed, public_key_of
from dtvn.node.kept_ports import rewrite_ports
from dtvn.node.keys import dev_seed, peer_id
from dtvn.node.layout import ClusterFolder
from dtvn.node.moved import keep_address
from dtvn.node.options import StartError, UsageError
from dtvn.node.provision import dev_genesis
from dtvn.node.settings import settings_of
from dtvn.node.start import get_ready
from dtvn.protocol import genesis as g
from tests.golden import Compare, Telling
from validators.management.commands.validator import flags

GOLDEN = Path(__file__).parent / "golden"
SPLICE = "/ip4/192.0.2.7/tcp/7"


def peer(owner: str) -> str:
    return peer_id(public_key_of(dev_seed(owner)))


class Story(Telling):
    """Command lines of nodes in one folder, which nothing else of the machine enters."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.file = folder / "node.yaml"
        self.warned = set[str]()

    def say(self, line: str) -> None:
        super().say(line.replace(str(self.folder), "FOLDER"))

    def node(self, *arguments: str, data: str = "data", **environment: str) -> None:
        """What such a command line makes of a node."""
        given = " ".join([*arguments, *(f"{name}={value}" for name, value in environment.items())])
        self.say(f"$ {data}: {given}")
        config = ["-config", str(self.file)] if self.file.exists() else []
        words = [*config, "-data-dir", str(self.folder / data), *arguments]
        try:
            settings = settings_of(vars(flags().parse(words)), environment)
            folder, options = get_ready(settings, environment, self._said("tells"), self._said("warns"))
        except (UsageError, StartError) as error:
            self.say(f"! {type(error).__name__}: {error}")
            return
        except SystemExit as error:
            self.say(f"! exit {error.code}, and the usage")
            return
        served = [
            f"{what} at {part.host}:{part.port}{'' if part.needed else ', if it is free'}"
            for what, part in (("API", options.api), ("metrics", options.metrics))
            if part is not None
        ]
        place = "as the genesis says" if options.bind is None else "{}:{}".format(*options.bind)
        self.say("; ".join([f"= {folder.root.relative_to(self.folder)} binds {place}", *served]))

    def _said(self, how: str) -> Any:
        """Its words; those of a warning that was given before, in short."""

        def say(text: str) -> None:
            self.say(f"  {how}: {f'{text[:20]}...' if text in self.warned else text}")
            if how == "warns":
                self.warned.add(text)

        return say

    def write(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    monkeypatch.chdir(tmp_path)
    return Story(tmp_path)


def test_command_lines(golden: Compare, story: Story) -> None:
    story.chapter("Keys of development")
    story.node("-dev-keys")
    story.node("-dev-keys", "-id", "node2", "-primary")
    story.node("-dev-keys", "-id", "node9")
    story.node("-dev-keys", "-id", "node9", "-bootstrap-node", data="book")
    story.node("-dev-keys", "-total-nodes", "2", data="two")
    story.node("-dev-keys", "-total-nodes", "3", data="two")
    story.node("-dev-keys", DTVN_KEY_SEED="salt", data="salted")
    story.node("-dev-keys", DTVN_KEY_SEED="pepper", data="salted")
    story.node("-dev-keys", "-genesis", "x")
    story.node(data="nothing")
    story.node("-id", "no name")
    story.chapter("Where it listens, and whom it asks")
    story.node("-dev-keys", "-host", "192.0.2.1", "-port", "77")
    story.node("-dev-keys", "-host", "2001:db8::1", "-api-key", "secret")
    others = (f"{SPLICE}/p2p/{peer('node1')}", f"{SPLICE}/p2p/{peer('node0')}", f"{SPLICE}/p2p/{peer('x')}")
    story.node("-dev-keys", "-bootstrap", ",".join([*others, SPLICE, "junk", "", f"{SPLICE}/p2p/1111"]))
    story.node("-dev-keys", "-via", f"{SPLICE}/p2p/{peer('splice')}")
    story.node("-dev-keys", "-via", f"{SPLICE}/p2p/{peer('splice')}", "-port", "7")
    story.node("-dev-keys", "-via", SPLICE)
    keep_address(ClusterFolder(story.folder / "data").node("node0"), "192.0.2.99", 99, peer("node0"))
    story.node("-dev-keys")
    story.node("-dev-keys", "-port", "77")
    story.chapter("The other settings")
    story.node("-dev-keys", "-api-port", "0", DTVN_METRICS_PORT="0")
    story.node("-dev-keys", "-api-port", "81", DTVN_METRICS_PORT="82", DTVN_METRICS_ADDRESS="::1")
    story.node("-dev-keys", "-static-dir", "nowhere", DTVN_METRICS_ENABLED="f")
    (story.folder / "web" / "static").mkdir(parents=True)
    (story.folder / "web" / "static" / "index.html").write_text("page")
    story.node("-dev-keys", DTVN_API_KEY="secret", DTVN_API_ENABLE_CORS="0")
    folder = ClusterFolder(story.folder / "data").node("node1")
    folder.create()
    rewrite_ports(folder, api=8_888, metrics=9_999)
    write_private(folder.api_token, b"token\n")
    story.node("-dev-keys", "-id", "node1")
    story.node("-dev-keys", "-id", "node1", "-api-port", "80", DTVN_API_KEY="other")
    golden(GOLDEN / "command-lines.txt", story.text)


def test_a_genesis_file(golden: Compare, story: Story) -> None:
    path = story.folder / "genesis.bin"
    genesis = dev_genesis(3, "192.0.2.9", lambda at: 7_000 + at)
    path.write_bytes(g.encode(genesis))
    story.node("-genesis", str(path))
    for name, owner in (("node0", "node0"), ("node2", "node2"), ("guest", "guest")):
        folder = ClusterFolder(story.folder / "data").node(name)
        folder.create()
        write_private(folder.key, encode_seed(dev_seed(owner)))
        story.node("-genesis", str(path), "-id", name)
        story.node("-id", name, "-port", "70")
        story.node("-id", name, "-bootstrap-node")
    story.node("-id", "node0", "-total-nodes", "3", DTVN_CONSENSUS_VIEW_TIMEOUT="800ms")
    story.node("-id", "node0", "-total-nodes", "4")
    story.node("-id", "node0", DTVN_CONSENSUS_VIEW_TIMEOUT="801ms")
    story.node("-id", "node0", DTVN_CONSENSUS_CHECKPOINT_INTERVAL="11")
    folder = ClusterFolder(story.folder / "data").node("guest")
    (folder.ledger / "log.sqlite3").write_bytes(b"")
    story.node("-id", "guest", "-bootstrap-node")
    story.node("-genesis", "nowhere")
    path.write_bytes(b"junk")
    story.node("-genesis", str(path))
    golden(GOLDEN / "genesis-file.txt", story.text)


def test_files(golden: Compare, story: Story) -> None:
    story.write(
        "node:\n  dev_keys: true\n  id: node1\nnetwork:\n  listen_port: 70\n  bootstrap_peers: [a, b]\n"
        "consensus:\n  view_timeout: 1s\n  checkpoint_interval: 20\n  total_nodes: 2\napi:\n  port: 0\n"
        "gossip:\n  anti_entropy_interval: 2s\nmetrics:\n  port: 99\n  address: 0.0.0.0\nlogging:\n"
    )
    story.node()
    story.node("-port", "71", DTVN_METRICS_PORT="98", DTVN_API_PORT="5")
    for text in (
        *("", "# nothing\n", "- a\n", "node\n", "node: 7\n", "nodes:\n  id: a\n", "id: a\n", "port: 7\n"),
        *("node:\n  idd: a\n", "node:\n  id: a\n  id: b\n", "node:\n  id: 7\n", "api:\n  key: secret\n"),
        *("node:\n  id: !!python/object:os.system {}\n", "node: {id: [\n", "network:\n  listen_port: 0\n"),
        *("network:\n  listen_port: '7'\n", "network:\n  listen_port: true\n", "api:\n  enable_cors: 1\n"),
        *("storage:\n  timeout: 5\n", "storage:\n  timeout: 301s\n", "storage:\n  type: oracle\n"),
        *("network:\n  bootstrap_peers: a\n", "network:\n  bootstrap_peers: [1]\n", "? [a]\n: b\n"),
        "node:\n  data_dir: ''\n",
    ):
        story.write(text)
        story.say(repr(text))
        story.node("-dev-keys", "-api-port", "0", data="files", DTVN_METRICS_PORT="0")
    story.file.unlink()
    for words in (
        *(("-port", "x"), ("-port", "65536"), ("-dev-keys=maybe",), ("-id", "a\nb"), ("-total-nodes", "0")),
        *(("-config", "nowhere"), ("-config", str(story.folder))),
    ):
        story.node(*words)
    golden(GOLDEN / "files.txt", story.text)
