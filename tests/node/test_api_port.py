"""The port of a node that a platform runs: another if it is taken at the first start, its own ever after."""

from __future__ import annotations

import http.client
import logging
import os
import shutil
import signal
import socket
import stat
from contextlib import closing, suppress
from pathlib import Path

import pytest

from dtvn.node import api_helper
from dtvn.node.api_start import start_api
from dtvn.node.kept_ports import keep_ports, kept_api, kept_port
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import ApiOptions, NodeOptions
from dtvn.node.provision import create_demo_cluster
from tests.ports import free_ports
from tests.waiting import wait_until

LOGGER = logging.getLogger("test.api")


def listens(taken: socket.socket, port: int) -> bool:
    try:
        taken.bind(("127.0.0.1", port))
    except OSError:
        return False
    taken.listen()
    return True


@pytest.mark.parametrize("key", ["", "theirs"])
def test_an_api_whose_key_is_in_the_folder_answers_nobody_without_one(tmp_path: Path, key: str) -> None:
    """A platform's own keys would be bypassed at its nodes."""
    folder = ClusterFolder(tmp_path).node("node0")
    folder.create()
    keep_ports([folder], "api", lambda _: [41001])
    assert kept_api(folder, key) == ApiOptions(port=41001, key=key, closed=False)
    folder.api_token.write_text("own\n")
    assert kept_api(folder, key) == ApiOptions(port=41001, key=key or "own", closed=True)


def test_a_taken_api_port_is_replaced_at_the_first_start_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    create_demo_cluster(tmp_path, nodes=1, host="127.0.0.1", ports=[41001])
    folder = ClusterFolder(tmp_path).node("node0")
    assert kept_api(folder, "") is None
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        keep_ports([folder], "api", lambda _: [busy])
        api = start_api(folder, NodeOptions(api=kept_api(folder, "k")), LOGGER)
        assert api is not None
        try:
            assert api.address is not None
            chosen = api.address[1]
        finally:
            api.close()
    assert chosen != busy
    assert kept_port(folder, "api") == chosen
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wait_until(lambda: listens(taken, chosen), what="the helper that was ended has left its port")
        api = start_api(folder, NodeOptions(api=kept_api(folder, "k")), LOGGER)
        assert api is not None
        api.close()
        assert api.address is None
        assert "api_off" in caplog.text, "one clear line; the node runs"
        assert api.trouble == f"API port {chosen} is in use by another program"
    assert kept_port(folder, "api") == chosen


def answered(address: tuple[str, int]) -> int:
    with (
        suppress(OSError, http.client.HTTPException),
        closing(http.client.HTTPConnection(*address, timeout=0.3)) as connection,
    ):
        connection.request("GET", "/no-such-page")
        return connection.getresponse().status
    return 0


def test_x31_a_hanging_helper_is_logged_killed_and_restarted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(api_helper, "SILENCE", 0.5)
    troubles: list[str] = []

    def noted(api: api_helper.ApiHelper, name: str, value: object) -> None:
        if name == "trouble":
            troubles.append(str(value))
        object.__setattr__(api, name, value)

    monkeypatch.setattr(api_helper.ApiHelper, "__setattr__", noted, raising=False)
    create_demo_cluster(tmp_path, nodes=1, host="127.0.0.1", ports=[41001])
    folder = ClusterFolder(tmp_path).node("node0")
    keep_ports([folder], "api", lambda _: free_ports(1))
    api = start_api(folder, NodeOptions(api=kept_api(folder, "k")), LOGGER)
    assert api is not None
    try:
        address = api.address
        assert address is not None
        wait_until(lambda: answered(address), what="it answers")
        wait_until(lambda: "path=/no-such-page" in caplog.text, what="the node heard of it")
        first = api._process
        assert first is not None
        os.kill(first.pid, signal.SIGSTOP)
        wait_until(lambda: "its API does not answer" in troubles, what="people can be told")
        wait_until(lambda: answered(address), what="another one answers at the same port")
        assert first.poll() == -signal.SIGKILL
        wait_until(lambda: not api.trouble, what="all is well again")
        assert "silent for" in caplog.text
    finally:
        api.close()


def test_a_missing_node_folder_does_not_stop_the_other_nodes(tmp_path: Path) -> None:
    """Its node says that its key is gone; a network of four starts without it."""
    create_demo_cluster(tmp_path, nodes=2, host="127.0.0.1", ports=free_ports(2))
    folders = [ClusterFolder(tmp_path).node(name) for name in ("node0", "node1")]
    shutil.rmtree(folders[1].root)
    kept = keep_ports(folders, "metrics", lambda names: free_ports(len(names)))
    assert [kept_port(folder, "metrics") for folder in folders] == list(kept.values())
    assert stat.S_IMODE(folders[1].root.stat().st_mode) == 0o700
