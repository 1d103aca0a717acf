"""Membership and principals in the admin: a preview, one ordered command, its outcome shown."""

from __future__ import annotations

import html
import re
from typing import Any, cast

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from dtvn.node.keys import peer_id
from dtvn.protocol.consensus.membership import Membership, founding
from tests.api.conftest import Api, read
from tests.api.living import LivingGateway
from tests.host.support import key_pair, make_genesis
from tests.team_keys import join
from validators.membership import changes, epoch
from validators.models import MembershipChange
from validators.services import network, principals

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

MEMBERS = "/admin/validators/membershipchange/"
PRINCIPALS = f"{MEMBERS}principals/"
MANAGEMENT = [f"{MEMBERS}ask/{kind}/" for kind in ("add", "remove", "replace", "rotate", "parameters")]


@pytest.fixture
def admin(client: Client, living: LivingGateway) -> Client:
    client.force_login(User.objects.create_superuser("operator", password="x"))
    return client


def text(response: Any) -> str:
    assert response.status_code == 200, response.content
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def nonce_in(response: Any) -> str:
    found = re.search(r'name="nonce" value="([^"]+)"', response.content.decode())
    assert found is not None
    return found[1]


def test_a_change_is_previewed_and_ordered_once(admin: Client, living: LivingGateway) -> None:
    address = f"{MEMBERS}ask/remove/"
    form = admin.get(f"{address}?node_id=r3")
    assert 'value="r3" selected' in form.content.decode()
    assert "Allow fewer than four members" in text(form)
    fields = {"node_id": "r3", "nonce": nonce_in(form), "step": "preview"}
    refused = admin.post(address, fields)
    assert "The cluster would reject this change: Fewer than four members" in text(refused)
    assert "Confirm the change" not in text(refused)
    fields |= {"allow_small": "on"}
    shown = admin.post(address, fields)
    assert "Byzantine members tolerated 1 0" in text(shown)
    assert "When the change begins, gates wait for 0.2 seconds" in text(shown)
    assert "The newcomer follows" not in text(shown)
    assert "crash-only, no liar tolerated" in text(shown)
    assert "3 r3" in text(shown)
    assert "Confirm the change" in text(shown)
    assert MembershipChange.objects.count() == 0
    for _ in range(2):  # clicked twice
        done = admin.post(address, fields | {"step": "confirm"})
        row = MembershipChange.objects.get()
        assert done.headers["Location"] == f"{MEMBERS}{row.pk}/change/"
    waiting = admin.get(done.headers["Location"])
    assert 'http-equiv="refresh"' in waiting.content.decode()
    while changes.turn():
        pass
    told = admin.get(done.headers["Location"])
    assert 'http-equiv="refresh"' not in told.content.decode()
    assert "Epoch 1 has begun" in text(told)
    assert "user:operator" in text(told)
    assert [member.id for member in living.present.members] == ["r0", "r1", "r2"]
    assert "remove r3" in text(admin.get(MEMBERS))


class LaggingGateway(LivingGateway):
    """A process that learns of an epoch begun by another process only after `looks` queries."""

    looks = 0

    @property  # type: ignore[override]
    def present(self) -> Membership:
        self.looks -= 1
        return founding(self.genesis) if self.looks > 0 else self._newest

    @present.setter
    def present(self, newest: Membership) -> None:
        self._newest = newest


@pytest.fixture
def lagging(living: LivingGateway) -> LaggingGateway:
    """The same gateway; from now on it learns late of the epochs ordered through it."""
    newest = living.__dict__.pop("present")
    living.__class__ = LaggingGateway
    found = cast(LaggingGateway, living)
    found.present = newest
    return found


PARAMETERS = ("checkpoint_interval", "drift_bound", "batch_operations_max", "batch_bytes_max", "version")
"""All that the form has besides the timeout."""


def raised_timeout(admin: Client) -> None:
    """Epoch 1 has begun, and its requester received the outcome."""
    fields = {"view_timeout": "900000", "step": "confirm", "nonce": "late"}
    given = {name: str(getattr(founding(make_genesis(4)).parameters, name)) for name in PARAMETERS}
    admin.post(f"{MEMBERS}ask/parameters/", given | fields)
    while changes.turn():
        pass
    assert MembershipChange.objects.get().state == "done"


def test_the_page_waits_for_the_epoch_that_was_announced(
    admin: Client, lagging: LaggingGateway, town: Api
) -> None:
    """Seen in the CI: "Done" came from the process that carries changes out, and the next page, from another
    process, showed the members of before."""
    raised_timeout(admin)
    lagging.looks = 4
    shown = admin.get(MEMBERS)
    assert "Epoch 1" in text(shown)
    assert 'http-equiv="refresh"' not in shown.content.decode()
    lagging.looks = 4
    assert read(town.get("members"))["data"]["epoch"] == 1
    lagging.looks = 4
    assert read(town.get(f"changes/{MembershipChange.objects.get().pk}"))["data"]["state"] == "done"
    assert lagging.looks <= 0, "who polls a change is told once this process has met its epoch"


def test_a_page_past_its_waiting_limit_says_so_and_reloads(
    admin: Client, lagging: LaggingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised_timeout(admin)
    monkeypatch.setattr(epoch, "MET_WITHIN", 0.0)
    lagging.looks = 100
    shown = admin.get(MEMBERS)
    assert "Epoch 0" in text(shown)
    assert "A later epoch has begun" in text(shown)
    assert 'http-equiv="refresh"' in shown.content.decode()
    lagging.looks = 100
    MembershipChange.objects.update(finished_at=timezone.now() - 2 * epoch.RECENT)
    assert "A later epoch has begun" not in text(admin.get(MEMBERS)), "an old one may be of another cluster"


def test_the_parameters_form_shows_the_present_values(admin: Client, living: LivingGateway) -> None:
    address = f"{MEMBERS}ask/parameters/"
    form = admin.get(address)
    assert 'name="view_timeout" value="800000"' in form.content.decode()
    assert "nonces_max" not in form.content.decode()
    given = {name: str(getattr(living.present.parameters, name)) for name in PARAMETERS}
    low = admin.post(address, given | {"view_timeout": "1", "step": "preview"})
    assert "parameters.view_timeout: 1 is not between" in text(low)
    same = admin.post(address, given | {"view_timeout": "800000", "step": "preview"})
    assert "Nothing was changed: give at least one parameter another value." in text(same)
    assert "view_timeout 800000 900000" in text(
        admin.post(address, given | {"view_timeout": "900000", "step": "preview"})
    )
    admin.post(address, given | {"view_timeout": "900000", "step": "confirm", "nonce": "n"})
    while changes.turn():
        pass
    assert living.present.parameters.view_timeout == 900_000


def test_an_external_newcomer_is_added_with_its_liveness_proof(admin: Client, living: LivingGateway) -> None:
    key = key_pair("r7")[0]
    admin.post(PRINCIPALS, {"verb": "add", "name": "r7", "peer_id": peer_id(key), "event": "*", "nonce": "a"})
    address = f"{MEMBERS}ask/add/"
    fields = {"node_id": "r7", "peer_id": peer_id(key), "host": "10.0.0.7", "port": "7", "step": "preview"}
    fields |= {"word": living.word_file("r7"), "step": "confirm", "nonce": "b"}
    assert admin.post(address, fields).status_code == 302
    while changes.turn():
        pass
    assert living.present.members[-1].id == "r7"
    assert "elsewhere" in text(admin.get(MEMBERS))


def test_principals_are_added_given_keys_and_revoked(admin: Client) -> None:
    told = text(admin.get(PRINCIPALS))
    assert "gateway this platform gateway" in told
    assert "gate in all events" in told
    fields = {
        "verb": "add",
        "name": "gate-1",
        "peer_id": peer_id(key_pair("gate-1")[0]),
        "event": "default",
        "capabilities": ["gate"],
        "nonce": "one",
    }
    assert "gate-1 was added at sequence" in text(admin.post(PRINCIPALS, fields, follow=True))
    found = principals.find_principal("gate-1")
    assert found is not None
    assert [(grant.event, grant.capability) for grant in found.grants] == [("default", "gate")]
    again = admin.post(PRINCIPALS, fields | {"nonce": "two"}, follow=True)
    assert "Failed: There is already a principal with this name." in text(again)
    bad = admin.post(PRINCIPALS, fields | {"peer_id": "x", "name": "gate-2", "nonce": "three"})
    assert "peer_id" in text(bad)
    limited = {"verb": "limit", "name": "gate-1", "grants": "final:gate\ndefault:gate", "nonce": "3b"}
    assert "gate-1 has new grants" in text(admin.post(PRINCIPALS, limited, follow=True))
    assert "gate in default, gate in final" in text(admin.get(PRINCIPALS))
    wrong = {"verb": "limit", "name": "gate-1", "grants": "final:fly", "nonce": "3c"}
    assert "Failed: grants: 'fly' is not one of" in text(admin.post(PRINCIPALS, wrong, follow=True))
    rotated = {"verb": "rotate", "name": "gate-1", "peer_id": peer_id(key_pair("gate-1b")[0]), "nonce": "4"}
    assert "gate-1 has a new key" in text(admin.post(PRINCIPALS, rotated, follow=True))
    assert "gate-1#1" in text(admin.get(PRINCIPALS))
    gone = {"verb": "revoke", "name": "gate-1", "nonce": "five"}
    assert "gate-1 was revoked" in text(admin.post(PRINCIPALS, gone, follow=True))
    assert principals.find_principal("gate-1") is None
    last = admin.post(PRINCIPALS, {"verb": "revoke", "name": "gateway", "nonce": "six"}, follow=True)
    assert "this platform signs as gateway" in text(last)


def test_only_administrators_see_the_forms(client: Client, living: LivingGateway) -> None:
    person = User.objects.create_user("reader", password="x", is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename="view_membershipchange"))
    client.force_login(person)
    page = client.get(MEMBERS)
    assert "Epoch 0" in text(page)
    assert "ask/remove" not in page.content.decode()
    for address in [*MANAGEMENT, PRINCIPALS]:
        assert client.get(address).status_code == 403
        assert client.post(address, {"step": "confirm", "node_id": "r0"}).status_code == 403
    join(person, "admin")
    for address in [*MANAGEMENT, PRINCIPALS]:
        assert client.get(address).status_code == 200
    assert MembershipChange.objects.count() == 0


def test_a_change_is_cancelled_by_an_administrators_form_alone(admin: Client, living: LivingGateway) -> None:
    wanted = {"change": "remove", "node_id": "r3"}
    row = MembershipChange.objects.create(request=wanted, actor="a", nonce="n")
    address = f"{MEMBERS}{row.pk}/cancel/"

    def cancelled() -> bool:
        row.refresh_from_db()
        return row.cancelled

    reader = Client()
    person = User.objects.create_user("reader", password="x", is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename="view_membershipchange"))
    reader.force_login(person)
    assert reader.post(address).status_code == 403
    assert admin.get(address).headers["Location"] == f"{MEMBERS}{row.pk}/change/"
    assert not cancelled(), "a link or a browser that looks ahead changes nothing"
    admin.post(address)
    assert cancelled()


def test_pages_without_a_cluster_report_it(
    admin: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, settings: Any
) -> None:
    network.use(None)
    settings.DATA = tmp_path
    assert "this data folder has no cluster yet" in text(admin.get(MEMBERS))
    assert "This data folder has no cluster yet" in text(admin.get(f"{MEMBERS}ask/add/", follow=True))
    assert "No principals." in text(admin.get(PRINCIPALS))
    assert admin.get(f"{MEMBERS}ask/fly/").status_code == 302
