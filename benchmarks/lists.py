"""Measures the platform's lists with a million tickets.

`python -m benchmarks.lists [tickets] [postgresql://.../an-empty-database]` fills the learner's tables of a
temporary data folder (or of that database, which must have no other use), requests pages of every kind from
the admin, the API and the dashboard, and prints the median of each in milliseconds, the slowest first.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.settings import use_folder
from tests.team_keys import store_key

ROUNDS = 5
CHUNK = 20_000
OPERATIONS_PER_ENTRY = 100
START = 1_790_000_000_000_000
EVENTS = ("default", "fest")
KEY = "dtvn_key_of_the_list_bench"


def prepare(data: Path, url: str) -> None:
    """Set up this process's settings, the platform's tables, a cluster, and a user and API key."""
    use_folder(data, url)
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from dtvn.node.provision import create_demo_cluster
    from validators.services import nodes

    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    create_demo_cluster(data, nodes=4, host="127.0.0.1", ports=[1, 2, 3, 4])
    (data / "platform").mkdir(exist_ok=True)
    call_command("migrate", verbosity=0)
    nodes.register_nodes([f"node{number}" for number in range(4)])
    User.objects.create_superuser("admin", password="bench")  # noqa: S106 - a folder that is thrown away
    store_key(KEY, label="bench")


# --- rows -----------------------------------------------------------------------------------------


def state_of(number: int) -> str:
    """State of a ticket, with a different frequency for each state: nearly all, many, few, a handful."""
    if number % 50_000 == 7:
        return "DISPUTED"
    if number % 100 == 1:
        return "VALIDATED"
    return "CONSUMED" if number % 10 < 4 else "ISSUED"


def event_of(number: int) -> str:
    return EVENTS[number % 10 == 9]


def ticket_rows(count: int) -> Iterator[tuple[Any, ...]]:
    from dtvn.machine.rows import TicketRow
    from validators.ledger.state_rows import ticket_row

    blank = {"validator": "node1", "index": 0, "operation": "issue", "principal": "gateway", "actor": "key:1"}
    blank |= {"nonce": b"", "gate": "", "device": "", "note": "", "upheld": False, "clock": {"node1": 3}}
    blank |= {"product": "Day ticket", "seat": "", "not_before": 0, "not_after": 0, "commitment": bytes(32)}
    blank |= {"data": b"", "metadata": {}}
    for number in range(count):
        name, state = f"T-{number:07}", state_of(number)
        sequence = number // OPERATIONS_PER_ENTRY + 1
        yield ticket_row(
            TicketRow(
                event=event_of(number),
                ticket=name,
                state=state,
                timestamp=START + sequence,
                sequence=sequence,
                **blank,
            )
        )


def operations(count: int) -> Iterator[tuple[str, str, str, str]]:
    """(event, ticket, kind, code): first the issues of all tickets, then a day's operations at the gates."""
    for number in range(count):
        yield event_of(number), f"T-{number:07}", "issue", "ok"
    for number in range(count):
        event, name = event_of(number), f"T-{number:07}"
        match state_of(number):
            case "CONSUMED":
                yield event, name, "admit", "ok"
                if number % 400 == 0:
                    yield event, name, "admit", "already_consumed"
            case "VALIDATED":
                yield event, name, "validate", "ok"
            case "DISPUTED":
                yield event, name, "dispute", "ok"


def operation_rows(count: int) -> Iterator[tuple[Any, ...]]:
    from validators.ledger.outcomes import ORDERED_OPERATION_SLOTS

    digest = bytes(range(32))
    for place, (event, name, kind, code) in enumerate(operations(count)):
        sequence, index = place // OPERATIONS_PER_ENTRY + 1, place % OPERATIONS_PER_ENTRY
        number = sequence * ORDERED_OPERATION_SLOTS + index
        at = START + sequence * 1_000_000
        yield (
            number,
            sequence,
            index,
            0,
            at,
            event,
            name,
            kind,
            code,
            "gateway",
            "key:1",
            "node1",
            digest,
            digest,
        )


def counter_rows(count: int) -> Iterator[tuple[str, int]]:
    found: dict[str, int] = {}
    for number in range(count):
        name = f"ticket/{state_of(number)}/{event_of(number)}"
        found[name] = found.get(name, 0) + 1
    for _event, _name, kind, code in operations(count):
        name = f"operation/{kind}/{'ok' if code == 'ok' else 'refused'}"
        found[name] = found.get(name, 0) + 1
    yield from found.items()


def holder_rows(count: int) -> Iterator[tuple[Any, ...]]:
    from django.utils import timezone

    now = timezone.now()
    for number in range(count):
        name = f"T-{number:07}"
        person = f"Person{number % 5_000} Family{number % 977}"
        email = f"person{number}@example.org"
        yield (event_of(number), name, person, email, "", "", "", bytes(32), now, None)


def fill(count: int, url: str) -> None:
    """Write directly to the tables what the learner would have written, in a minute instead of hours."""
    from django.conf import settings
    from django.db import connections

    from dtvn.files.genesis import read_genesis
    from dtvn.ledger import Location
    from dtvn.node.learner import LEARNER_SCHEMA
    from dtvn.protocol import genesis as g
    from validators.ledger import open_ledger
    from validators.ledger.statements import TICKET_COLUMNS

    genesis = read_genesis(settings.DATA / "cluster" / "genesis.bin")
    place = Location.choose(settings.DATA / "learner", url=url, schema=LEARNER_SCHEMA)
    ledger = open_ledger(place, cluster_id=g.cluster_id(genesis), alias="filling", indexed=True)
    entries = sum(1 for _ in operations(count)) // OPERATIONS_PER_ENTRY + 1
    insert("filling", "ledger_ticket", TICKET_COLUMNS, ticket_rows(count))
    columns = (
        "id, sequence, batch_index, view, timestamp, event, ticket_id, operation, code, principal, actor,"
        " entry, digest, request"
    )
    insert("filling", "ledger_operationrecord", columns, operation_rows(count))
    insert("filling", "ledger_counter", "name, value", counter_rows(count))
    columns = "sequence, epoch, timestamp, entry, entry_hash, body, checksum"
    content = ((n, 0, START + n * 1_000_000, bytes(200), bytes(32), None, 0) for n in range(1, entries + 1))
    insert("filling", "ledger_consensusentry", columns, content)
    with connections["filling"].cursor() as cursor:
        cursor.execute("UPDATE ledger_ledgermeta SET applied_sequence = %s", [entries])
        if url:
            cursor.execute("ANALYZE")  # as autovacuum would do after this number of rows
    connections["filling"].commit() if not connections["filling"].get_autocommit() else None
    columns = "event, ticket, name, email, phone, company, address, salt, imported_at, erased_at"
    insert("default", "tickets_ticketholder", columns, holder_rows(count))
    if url:
        with connections["default"].cursor() as cursor:
            cursor.execute("ANALYZE")
    ledger.close()


def insert(alias: str, table: str, columns: str, rows: Iterable[tuple[Any, ...]]) -> None:
    from django.db import connections, transaction

    width = columns.count(",") + 1
    if connections[alias].vendor == "postgresql":
        with (
            connections[alias].cursor() as cursor,
            cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)
        return
    statement = f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * width)})"  # noqa: S608 - constants
    waiting = iter(rows)
    while chunk := list(islice(waiting, CHUNK)):
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            cursor.executemany(statement, chunk)


# --- questions ------------------------------------------------------------------------------------


def pages(count: int) -> list[str]:
    """Paths of pages of every kind, for each kind the most expensive one."""
    middle, last = f"T-{count // 2:07}", f"T-{count - 1:07}"
    operations_, entries = (f"/admin/ledger/{name}/" for name in ("operationrecord", "consensusentry"))
    holders, api, log = "/admin/tickets/ticketholder/", "/api/v1/tickets", "/api/v1/consensus/logs"
    issued = count // OPERATIONS_PER_ENTRY
    return [
        *(
            operations_ + query
            for query in ("", f"?after={issued * 16_384}", f"?q={middle}", "?q=T-", "?q=T-05")
        ),
        *(f"{operations_}?outcome={outcome}" for outcome in ("applied", "refused")),
        *(f"{operations_}?operation={kind}" for kind in ("issue", "admit", "dispute", "resolve", "seed")),
        f"{operations_}?operation=dispute&outcome=refused",
        f"{operations_}?operation=issue&q={last}",
        entries,
        f"{entries}?after={issued // 2}",
        holders,
        *(f"{holders}?q={text}" for text in (middle, "Person49", "person499", "nobody")),
        f"{holders}?erased=yes",
        f"{holders}?after=default/{middle}",
        *(
            api + query
            for query in ("?limit=100", f"?limit=100&after={middle}", "", f"/{middle}", "?event=fest")
        ),
        *(f"{api}?limit=100&state={state}" for state in ("VALIDATED", "DISPUTED", "PENDING")),
        *(
            log + query
            for query in ("?limit=100", "", f"?limit=100&after={issued // 2}", "?limit=100&outcome=all")
        ),
        f"{log}?limit=100&kind=all&after={issued // 2}",
        f"{log}?limit=100&kind=all&outcome=all",
        "/api/v1/stats",
        "/dashboard/snapshot",
    ]


def measure(ask: Callable[[str], int], path: str) -> tuple[float, int]:
    """(median milliseconds, HTTP status) of a page; one that takes seconds is requested only once more."""
    taken, status = [], 0
    for _ in range(ROUNDS):
        before = time.perf_counter()
        status = ask(path)
        taken.append((time.perf_counter() - before) * 1_000)
        if sum(taken) > 5_000 and len(taken) > 1:
            break
    return statistics.median(taken), status


def main(count: int, url: str) -> None:
    with tempfile.TemporaryDirectory(prefix="dtvn-lists-", ignore_cleanup_errors=True) as folder:
        prepare(Path(folder), url)
        begun = time.perf_counter()
        fill(count, url)
        print(f"{count:,} tickets written in {time.perf_counter() - begun:.0f} s")
        from django.contrib.auth.models import User
        from django.test import Client

        person = Client(HTTP_HOST="localhost")
        person.force_login(User.objects.get(username="admin"))

        def ask(path: str) -> int:
            headers = {"X-API-Key": KEY} if path.startswith("/api/") else {}
            return person.get(path, headers=headers).status_code

        found = sorted(((*measure(ask, path), path) for path in pages(count)), reverse=True)
        for milliseconds, status, path in found:
            print(f"{milliseconds:9.1f} ms  {status}  {path}")


if __name__ == "__main__":
    numbers = [text for text in sys.argv[1:] if text.isdigit()]
    urls = [text for text in sys.argv[1:] if "://" in text]
    main(int(numbers[0]) if numbers else 1_000_000, urls[0] if urls else "")
