"""A message in the file broker is complete or absent: half of one would end a worker."""

from __future__ import annotations

from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection
from kombu.exceptions import ChannelError

from validators.data_folder import environment, file_broker
from validators.data_folder.celery import app


def channel_in(data: Path) -> Any:
    for folder in ("queue", "control"):
        (data / "celery" / folder).mkdir(parents=True)
    url, options = environment.broker(data)
    return Connection(url, transport_options=options).channel()


def test_celery_uses_the_file_broker() -> None:
    with app.connection_for_write() as connection:
        assert isinstance(connection.transport, file_broker.Transport)


def test_a_message_is_not_visible_while_it_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = channel_in(tmp_path)
    written = file_broker.dumps

    def looked_at(payload: Any) -> str:
        with pytest.raises(Empty):
            channel._get("nodes")
        return str(written(payload))

    monkeypatch.setattr(file_broker, "dumps", looked_at)
    channel._put("nodes", {"node": "node1"})
    assert channel._get("nodes") == {"node": "node1"}
    with pytest.raises(Empty):
        channel._get("nodes")
    assert not list((tmp_path / "celery" / "queue").iterdir())


def test_a_folder_that_is_gone_is_an_error_of_the_broker(tmp_path: Path) -> None:
    channel = channel_in(tmp_path)
    (tmp_path / "celery" / "queue").rmdir()
    with pytest.raises(ChannelError, match="cannot write a message"):
        channel._put("nodes", {})
