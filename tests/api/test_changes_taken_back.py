"""A change can be cancelled until it is sent; the number of queued changes is bounded (R35)."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from dtvn.files.whole import write_private
from dtvn.gateway import gather_liveness_proofs
from dtvn.net import ensure_seed, read_seed
from dtvn.node.layout import ClusterFolder
from tests.api.conftest import Api, read
from tests.api.living import LivingGateway
from tests.api.test_newcomers import follows, row_of
from validators.membership import ChangeRequest, change_limits, changes
from validators.models import DesiredState, MembershipChange, NodePart

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

ADMIN = "/admin/validators/membershipchange"


def work_off() -> None:
    while changes.turn():
        pass


def states() -> list[str]:
    return [row.state for row in MembershipChange.objects.order_by("id")]


def test_a_following_newcomer_is_cancelled_and_others_continue(
    town: Api, living: LivingGateway, folder: ClusterFolder
) -> None:
    asked = town.post("members", {"node_id": "r4"})
    place = asked.headers["Location"]
    assert row_of("r4") == (NodePart.JOINING, DesiredState.RUNNING)
    waiting = town.call("PATCH", "parameters", {"view_timeout": 900_000})
    assert waiting.status_code == 202, "it stands behind the newcomer"
    gone = town.call("DELETE", place)
    assert gone.status_code == 200, gone.content
    assert (read(gone)["data"]["state"], read(gone)["data"]["code"]) == ("cancelled", "cancelled")
    assert row_of("r4") == (NodePart.LEFT, DesiredState.STOPPED)
    follows(folder.node("r4"), living)  # it had all of the log just then
    work_off()
    assert states() == ["cancelled", "done"]
    assert [member.id for member in living.present.members] == ["r0", "r1", "r2", "r3"]
    assert living.present.parameters.view_timeout == 900_000
    again = town.call("DELETE", place)
    assert read(again)["data"] == read(gone)["data"], "twice is once"
    # And may be tried again under its name.
    town.post("members", {"node_id": "r4"})
    follows(folder.node("r4"), living)
    work_off()
    assert living.present.members[-1].id == "r4"


def test_a_cancelled_rotation_deletes_its_new_key(
    town: Api, living: LivingGateway, folder: ClusterFolder
) -> None:
    node = folder.node("r1")
    node.create()
    write_private(node.key, b"11" * 32 + b"\n")
    left = ensure_seed(node.next_key)  # by one that was given up in a crash; who knows who read it since
    row = changes.ask(ChangeRequest(change="rotate", node_id="r1"), actor="key:1")
    changes.turn()
    row.refresh_from_db()
    assert read_seed(node.next_key) != left
    assert (row.state, node.next_key.exists()) == ("ordering", True)
    assert read(town.call("DELETE", f"changes/{row.pk}"))["data"]["state"] == "cancelled"
    assert not node.next_key.exists()
    assert node.key.exists()


def test_a_change_that_was_sent_cannot_be_cancelled(town: Api, living: LivingGateway) -> None:
    row = changes.ask(ChangeRequest(change="parameters", parameters={"view_timeout": 900_000}), actor="key:1")
    living.mute = True
    for _ in range(2):
        changes.turn()
    for living.full in (False, True):  # a gateway that has no room later unsends nothing
        changes.turn()
        refused = town.call("DELETE", f"changes/{row.pk}")
        assert (refused.status_code, read(refused)["code"]) == (409, "change_ordered"), refused.content
    living.mute = living.full = False
    work_off()
    assert states() == ["done"]
    over = town.call("DELETE", f"changes/{row.pk}")
    assert (over.status_code, read(over)["code"]) == (409, "change_finished")
    for number in (row.pk + 1, 10**30):
        unknown = town.call("DELETE", f"changes/{number}")
        assert (unknown.status_code, read(unknown)["code"]) == (404, "not_found")


def test_a_change_cancelled_just_before_sending_is_not_sent(
    town: Api, living: LivingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cancelled after the liveness proofs were collected."""
    row = changes.ask(ChangeRequest(change="parameters", parameters={"view_timeout": 900_000}), actor="key:1")

    def gather(*arguments: Any, **named: Any) -> Any:
        changes.cancel(row.pk)
        return gather_liveness_proofs(*arguments, **named)

    monkeypatch.setattr(changes, "gather_liveness_proofs", gather)
    before = living.acknowledged
    work_off()
    assert states() == ["cancelled"]
    assert (living.present.epoch, living.acknowledged) == (0, before)


def test_the_command_lists_and_cancels_changes(
    folder: ClusterFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path, living: LivingGateway
) -> None:
    def say(*words: str) -> str:
        call_command("members", words[0], "--data-dir", str(tmp_path), *words[1:])
        return capsys.readouterr().out

    row = changes.ask(ChangeRequest(change="add", node_id="r4"), actor="operator")
    changes.turn()
    assert f"{row.pk}  add r4  following  r4 is fetching the log." in say("changes")
    assert "Cancelled before anything was sent" in say("cancel", str(row.pk))
    assert f"{row.pk}  add r4  cancelled" in say("changes")
    for number, said in ((row.pk, None), (row.pk + 1, "There is no change with this number")):
        if said is None:
            assert "Cancelled" in say("cancel", str(number))
            continue
        with pytest.raises(CommandError, match=said):
            say("cancel", str(number))
    with pytest.raises(CommandError, match="not the data folder of a platform"):
        call_command("members", "cancel", "--data-dir", str(tmp_path / "other"), str(row.pk))


def test_the_admin_cancels_a_change_with_a_button(
    client: Client, living: LivingGateway, folder: ClusterFolder
) -> None:
    client.force_login(User.objects.create_superuser("operator", password="x"))
    row = changes.ask(ChangeRequest(change="add", node_id="r4"), actor="user:operator")
    changes.turn()
    page = f"{ADMIN}/{row.pk}/change/"
    assert f'action="{ADMIN}/{row.pk}/cancel/"' in client.get(page).content.decode()
    assert client.get(f"{ADMIN}/{row.pk}/cancel/").status_code == 302
    row.refresh_from_db()
    assert not row.cancelled, "a link alone does nothing"
    shown = client.post(f"{ADMIN}/{row.pk}/cancel/", follow=True)
    assert "It is being cancelled" in html.unescape(shown.content.decode())
    assert "cancel/" not in re.sub(r"\s+", " ", shown.content.decode())
    work_off()
    assert "Cancelled" in client.get(page).content.decode()
    over = changes.ask(
        ChangeRequest(change="parameters", parameters={"view_timeout": 900_000}), actor="user:operator"
    )
    work_off()
    told = client.post(f"{ADMIN}/{over.pk}/cancel/", follow=True)
    assert f"Change {over.pk} has already finished: done." in html.unescape(told.content.decode())


def test_only_administrators_cancel_changes(
    client: Client, living: LivingGateway, folder: ClusterFolder
) -> None:
    row = changes.ask(ChangeRequest(change="add", node_id="r4"), actor="user:operator")
    changes.turn()
    client.force_login(User.objects.create_user("reader", password="x", is_staff=True))
    assert client.post(f"{ADMIN}/{row.pk}/cancel/").status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("other", password="x"))
    assert strict.post(f"{ADMIN}/{row.pk}/cancel/").status_code == 403
    row.refresh_from_db()
    assert not row.cancelled


# --- bounds (R35) ----------------------------------------------------------------------------------


def test_r35_the_queue_of_changes_is_bounded(town: Api, folder: ClusterFolder) -> None:
    """The first newcomer still fetches the log while the same key requests one newcomer after the other."""
    for number in range(change_limits.OPEN_MAX):
        asked = town.post("members", {"node_id": f"x{number}"})
        assert asked.status_code == 202, asked.content
    over = town.post("members", {"node_id": "one-more"})
    assert (over.status_code, read(over)["code"]) == (429, "too_many_changes"), over.content
    assert int(over.headers["Retry-After"]) > 0
    same = town.post("members", {"node_id": "x3"})
    assert (same.status_code, read(same)["code"]) == (409, "change_pending")
    started = town.post("nodes", {"node_id": "another"})
    assert started.status_code == 429, started.content
    assert MembershipChange.objects.count() == change_limits.OPEN_MAX
    assert town.call("DELETE", "changes/2").status_code == 200
    assert town.post("members", {"node_id": "one-more"}).status_code == 202


def test_r35_repeated_changes_of_one_caller_are_rate_limited(
    town: Api, living: LivingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_limits, "ASKED_MAX", 3)

    def turn_to(timeout: int) -> Any:
        return town.call("PATCH", "parameters", {"view_timeout": timeout})

    for timeout in (900_000, 800_000, 900_000):
        assert turn_to(timeout).status_code == 200
    over = turn_to(800_000)
    assert (over.status_code, read(over)["code"]) == (429, "too_many_changes")
    assert 590 <= int(over.headers["Retry-After"]) <= 601
    assert living.present.epoch == 3
    other = ChangeRequest(change="parameters", parameters={"view_timeout": 800_000})
    changes.ask(other, actor="somebody else")
    work_off()
    assert living.present.epoch == 4
    oldest = MembershipChange.objects.order_by("id")[0]
    MembershipChange.objects.filter(pk=oldest.pk).update(created_at=oldest.created_at - timedelta(minutes=10))
    assert turn_to(900_000).status_code == 200, "ten minutes later"
