"""Tells how a platform uses its broker: the check before a start, the question whether another run is there,
how an outage is waited for and told, and what a worker's log says of children that ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import WorkerLostError
from celery.worker import state
from celery.worker.consumer import Consumer as CelerysConsumer
from celery.worker.consumer.consumer import CONNECTION_RETRY
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.messaging import Consumer, Producer

from dtvn.node.options import StartError
from tests.api.telling import LEFT_OUT, beside
from tests.golden import Compare
from tests.platform.recording import Recorder
from validators.data_folder import celery, environment
from validators.data_folder.folder import DataFolder
from validators.processes import broker_consumer, lost_workers, roll_call, servers, stopping
from validators.processes.broker_consumer import BrokerConsumer
from validators.processes.task_names import FOLLOW_CLUSTER, RUN_VALIDATOR

MEMORY = "memory://"


@pytest.fixture
def told(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    made = DataFolder(tmp_path)
    made.create()
    made.identity.write_text(f"{tmp_path.name[-4:]:0>12}abcd\n")
    monkeypatch.setattr(environment, "data_folder", lambda: tmp_path)
    monkeypatch.setattr(roll_call, "ANSWERED_WITHIN", 0.05)
    return made


@pytest.fixture
def connection() -> Iterator[Connection]:
    with Connection(MEMORY) as opened:
        yield opened


def answered(connection: Connection, folder: DataFolder) -> str:
    """What a start says that asks at this broker."""
    try:
        roll_call.refuse_if_answered(connection, folder)
    except StartError as error:
        return str(error)
    return ""


def waiting(connection: Connection, folder: DataFolder) -> int:
    """Questions that nobody has taken."""
    return int(roll_call.questions_queue(folder)(connection.default_channel).queue_declare().message_count)


def test_a_start_is_refused_by_workers_of_another_run(connection: Connection, folder: DataFolder) -> None:
    assert answered(connection, folder) == "", "nobody is there"
    assert waiting(connection, folder) == 0, "no question stays behind"
    step = roll_call.Answering.__new__(roll_call.Answering)
    [consumer] = step.get_consumers(connection.channel())
    assert consumer.no_ack
    with consumer:
        assert answered(connection, folder) == (
            f"this platform runs on {os.uname().nodename} with the data folder {folder.root}: its workers "
            "answer at the broker; stop it there, or set CELERY_BROKER_URL to another broker, virtual host "
            "or Redis number"
        )
    assert waiting(connection, folder) == 0


def test_a_question_of_an_earlier_run_is_thrown_away(connection: Connection, folder: DataFolder) -> None:
    questions = roll_call.questions_queue(folder)(connection.default_channel)
    questions.declare()
    Producer(connection.default_channel).publish({}, routing_key=questions.name, reply_to="nobody")
    taken: list[Any] = []
    with Consumer(connection.channel(), [questions], on_message=taken.append, no_ack=True):
        assert answered(connection, folder) == ""
    assert [message.properties["reply_to"].startswith(questions.name) for message in taken] == [True]


def test_a_folder_without_a_platform_asks_nobody(connection: Connection, folder: DataFolder) -> None:
    name = roll_call.questions_queue(folder).name
    folder.identity.unlink()
    assert answered(connection, folder) == ""
    assert name not in connection.default_channel.queues  # type: ignore[attr-defined]


def test_workers_answer_where_a_broker_may_have_several_platforms() -> None:
    def has_step(url: str) -> bool:
        step = roll_call.Answering.__new__(roll_call.Answering)
        return step.include_if(SimpleNamespace(app=SimpleNamespace(conf=SimpleNamespace(broker_url=url))))

    assert [has_step(url) for url in ("amqp://here//", "redis://here/0", "filesystem://localhost//")] == [
        True,
        True,
        False,
    ]


def test_a_question_without_a_return_address_is_not_answered(connection: Connection) -> None:
    message = SimpleNamespace(properties={}, channel=None)
    roll_call._answer(message)  # type: ignore[arg-type]


def test_what_the_check_of_a_broker_does(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch, settings: Any, folder: DataFolder
) -> None:
    def check(title: str, *more: Any) -> None:
        told.chapter(title)
        try:
            servers.check_servers(*more)
        except StartError as error:
            told.say(f"  = {error}")

    settings.CELERY_BROKER_URL, settings.CELERY_BROKER_TRANSPORT_OPTIONS = "filesystem://localhost//", {}
    check("files", folder)
    settings.CELERY_BROKER_URL = "amqp://me:secret@broker:5672//"
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}
    made = told.thing("connection")
    made.connect_timeout, made.default_channel = 3.0, told.thing("channel")
    queue, received = told.thing("queue"), told.thing("message")
    queue.name = "dtvn.check"

    class Reading:
        def __init__(self, _channel: Any, queues: Any, *, on_message: Any) -> None:
            told.answers["connection.drain_events"] = lambda **_: on_message(received)

        def __enter__(self) -> None:
            told.say("  reads")

        def __exit__(self, *_: object) -> None:
            told.say("  reads no longer")

    monkeypatch.setattr(servers, "Connection", told.function("Connection"))
    monkeypatch.setattr(servers, "queue_name", lambda _id, purpose: f"dtvn.ID.{purpose}")
    monkeypatch.setattr(
        servers, "Queue", lambda *words, **named: lambda channel: told.call("Queue", *words, **named)
    )
    monkeypatch.setattr(servers, "Producer", lambda channel: told.thing("producer"))
    monkeypatch.setattr(servers, "Consumer", Reading)
    monkeypatch.setattr(roll_call, "refuse_if_answered", told.function("refuse_if_answered"))
    told.answers |= {"Connection": made, "Queue": queue}
    check("a server")
    check("a server, with the folder", folder)
    for name, error in {
        "connection.ensure_connection": OperationalError("[Errno 111] refused.\nmore"),
        "channel.basic_qos": ValueError("amqp://me:secret@broker"),
        "producer.publish": TimeoutError(),
        "message.ack": OSError(),
        "refuse_if_answered": StartError("workers answer"),
    }.items():
        told.answers[name] = error
        check(f"trouble in {name}", folder)
        del told.answers[name]
    golden(beside(__file__, "broker_check"), told.text)


def test_how_tasks_are_sent(golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    made = told.thing("connection")
    made.connect_timeout, made.connection_errors, made.channel_errors = 3.0, (OSError,), (KeyError,)
    monkeypatch.setattr(celery, "app", told.thing("app"))
    told.answers["app.connection_for_write"] = made
    for error in (None, OSError("refused"), KeyError(), ValueError("a mistake of ours")):
        told.chapter(f"{error!r}")
        told.answers["app.send_task"] = error
        try:
            celery.send_task("run", ("node0", "token"), queue="dtvn.0.nodes")
        except Exception as raised:  # noqa: BLE001 - each is told
            told.say(f"  = {type(raised).__name__}: {raised}")
    golden(beside(__file__, "broker_send"), told.text)


def test_how_an_outage_of_the_broker_is_waited_for(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def logged() -> None:
        told.lines.extend(f"  log: {LEFT_OUT.sub('', record.getMessage())}" for record in caplog.records)
        caplog.clear()

    consumer = BrokerConsumer.__new__(BrokerConsumer)
    consumer.pool, consumer.first_connection_attempt = told.thing("pool"), True
    consumer.conninfo = SimpleNamespace(as_uri=lambda: "amqp://me:**@broker//")
    parent = CelerysConsumer
    monkeypatch.setattr(
        parent, "on_connection_error_after_connected", lambda self, error: told.say("  celery's")
    )
    monkeypatch.setattr(parent, "on_ready", lambda self: told.say("  celery is ready"))
    monkeypatch.setattr(broker_consumer, "maybe_shutdown", told.function("maybe_shutdown"))
    monkeypatch.setattr(broker_consumer, "time", SimpleNamespace(sleep=told.function("sleep")))

    def ensure(report: Any, **named: Any) -> None:
        named.pop("callback")()
        told.say(f"  {named}")
        report(OSError("refused\nmore"), 1.0)
        report(OSError("refused"), 1.0)

    connection = SimpleNamespace(ensure_connection=ensure)
    told.chapter("a connection is made")
    told.say(f"  {consumer.ensure_connected(connection) is connection} {consumer.first_connection_attempt}")
    logged()
    for _ in range(2):
        told.chapter("it reads")
        consumer.on_ready()
        logged()
    told.chapter("lost, and refused twice")
    consumer.on_connection_error_after_connected(TimeoutError())
    consumer.on_connection_error_before_connected(OSError("no such user"))
    consumer.on_connection_error_after_connected(OSError("no queue"))
    logged()
    consumer.on_ready()
    logged()
    golden(beside(__file__, "broker_outage"), told.text)


def record(name: str, message: str, *arguments: Any, error: Any = None) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "x.py", 1, message, arguments, error)


def test_what_is_logged_of_children_that_ended(
    golden: Compare, told: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, again, broker = (
        logging.getLogger(name)
        for name in ("multiprocessing", "celery.worker.request", "celery.worker.consumer.consumer")
    )
    before = {each: (each.filters[:], each.handlers[:]) for each in (pool, again, broker)}
    connected: list[Any] = []
    signals = SimpleNamespace(after_setup_logger=SimpleNamespace(connect=connected.append))
    monkeypatch.setattr(lost_workers, "signals", signals)
    try:
        lost_workers.install_filters()
        broker_consumer.install_filter()
        pool.handlers = [logging.StreamHandler()]
        form = logging.Formatter("ours: %(message)s")
        root = logging.Logger("root")
        root.handlers = [logging.StreamHandler()]
        root.handlers[0].setFormatter(form)
        connected[0](logger=root, loglevel=30)
        told.say(f"the pool's lines have our form: {pool.handlers[0].formatter is form}")
        requests = [
            SimpleNamespace(worker_pid=5, name=RUN_VALIDATOR, args=("node0", "token")),
            SimpleNamespace(worker_pid=6, name=FOLLOW_CLUSTER, args=("learner", "token")),
            SimpleNamespace(worker_pid=7, name="simulate", args=()),
        ]
        monkeypatch.setattr(state, "active_requests", requests)
        for ends in (False, True):
            monkeypatch.setattr(stopping, "requested", lambda ends=ends: ends)
            for pid in (5, 6, 7, 8):
                line = record(pool.name, lost_workers.OF_BILLIARD, "Fork", pid, "signal 9 (SIGKILL)")
                told.say(f"{bool(pool.filter(line))} {line.getMessage()}")
        line = record(pool.name, "other %s", "words")
        told.say(f"{bool(pool.filter(line))} {line.msg} {line.args}")
        for error in (
            WorkerLostError("Worker exited prematurely: signal 9"),
            WorkerLostError("Worker exited prematurely: exitcode 1"),
            ValueError("of a task"),
            None,
        ):
            line = record(again.name, "%r", *([error] if error else []), error=(None, error, None))
            line.exc_text = "traceback"
            told.say(f"{bool(again.filter(line))} {line.args} {line.exc_info} {line.exc_text}")
        for words in ((CONNECTION_RETRY,), ("other",), ()):
            told.say(f"{bool(broker.filter(record(broker.name, '%s', *words)))}")
    finally:
        for each, (filters, handlers) in before.items():
            each.filters, each.handlers = filters, handlers
    golden(beside(__file__, "broker_children"), told.text)
