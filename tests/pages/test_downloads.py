"""Lists that are downloaded from the import page."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient

from tests.pages.learner import RealLearner
from tests.team_keys import join
from tickets.pages import exports

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])


@pytest.mark.asyncio
@pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
async def test_a_gate_downloads_the_admission_list(learner: RealLearner, operate: Any, form: str) -> None:
    from asgiref.sync import sync_to_async

    def made() -> User:
        operate("issue T-1")
        user = User.objects.create_user("gate")
        join(user, "gate")
        return user

    client = AsyncClient()
    await client.aforce_login(await sync_to_async(made)())
    answer = await client.get(f"/dashboard/tickets/export/admission.{form}", {"event": "default"})
    assert answer.status_code == 200
    assert f'filename="admission-default-at-2.{form}"' in answer.headers["Content-Disposition"]
    sent = io.BytesIO()
    async for chunk in answer:
        sent.write(chunk)
    assert b"revoked_codes" not in sent.getvalue()
    assert sent.getvalue()[:2] == {"csv": b"\xef\xbb", "xlsx": b"PK", "json": b'{"'}[form]
    assert (await client.get("/dashboard/tickets/export/nothing.csv")).status_code == 404
    assert (await client.get("/dashboard/tickets/export/tickets.csv?event=a%20b")).status_code == 400


@pytest.mark.asyncio
async def test_a_caller_has_a_bounded_number_of_exports_under_way(
    learner: RealLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asgiref.sync import sync_to_async

    async def status_of_another(client: AsyncClient) -> int:
        return (await client.get(path)).status_code

    monkeypatch.setattr(exports, "EXPORTS_EACH", 1)
    path, clients = "/dashboard/tickets/export/tickets.csv", (AsyncClient(), AsyncClient())
    for name, client in zip(("ada", "bob"), clients, strict=True):
        user = await sync_to_async(User.objects.create_user)(name)
        await sync_to_async(join)(user, "gate")
        await client.aforce_login(user)
    answer = await clients[0].get(path)
    parts = aiter(answer)
    assert await anext(parts)
    assert [await status_of_another(client) for client in clients] == [429, 200]
    assert [part async for part in parts]
    assert await status_of_another(clients[0]) == 200


@pytest.mark.asyncio
async def test_an_export_whose_client_leaves_in_the_middle_is_under_way_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    under_way, done = ["bob"], list[str]()

    def chunks() -> Iterator[bytes]:
        try:
            yield from (b"", b"one", b"two")
        finally:
            done.append("closed")

    monkeypatch.setattr(exports, "_under_way", under_way)
    monkeypatch.setattr(exports, "close_old_connections", lambda: done.append("connections"))
    sent = exports._sent(chunks(), "ada")
    assert await anext(sent) == b"one"
    assert (under_way, done) == (["bob", "ada"], ["connections"] * 2)
    await sent.aclose()  # type: ignore[attr-defined]
    assert (under_way, done) == (["bob"], ["connections", "connections", "closed"])
