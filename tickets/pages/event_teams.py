"""Teams of one event, for its organiser: made and changed, with their people and the keys of their gates.

An organiser gives away only what he or she may do at this event, and sees no team that is for others too.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from dtvn.api.errors import ApiError
from dtvn.machine import CAPABILITY, reasons
from tickets.pages.access import sentence_page, with_scope
from tickets.services import list_counts, lists
from validators.dashboard.views import frame
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import event_zones, read
from validators.models import ApiKey, Team
from validators.rest.keys import Caller
from validators.services.api_keys import generate_api_key, revoke_api_key, store_api_key, tell_of_change
from validators.services.following import is_follower
from validators.services.teams import PLATFORM_WIDE, RIGHTS, grant_of

CHANGE, ADMIT = CAPABILITY["set_event"], CAPABILITY["admit"]
NAME_LENGTH_MAX = 100


class TeamForm(forms.Form):
    """A new team of the event."""

    name = forms.CharField(max_length=NAME_LENGTH_MAX, error_messages={"required": "Give the team a name."})
    rights = forms.MultipleChoiceField(
        required=False, error_messages={"invalid_choice": "You may not give that away."}
    )
    lists = forms.MultipleChoiceField(
        required=False,
        error_messages={"invalid_choice": "The event has no such list, or you may not scan for it."},
    )

    def __init__(self, data: Any, *, rights: list[str], offered: dict[str, str], needs_lists: bool) -> None:
        super().__init__(data)
        self.fields["rights"].choices = [(name, RIGHTS[name]) for name in rights]  # type: ignore[attr-defined]
        self.fields["lists"].choices = list(offered.items())  # type: ignore[attr-defined]
        self.fields["lists"].required = needs_lists
        self.fields["lists"].error_messages["required"] = "You scan for some lists only: tick at least one."


class KeyForm(forms.Form):
    """A new key of a team."""

    label = forms.CharField(
        max_length=NAME_LENGTH_MAX, error_messages={"required": "Say which gate or program it is for."}
    )


@require_http_methods(["GET", "POST"])
@with_scope(CHANGE, by_event=True)
def page(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """The teams of the event `slug`. A POST makes one (`make`), takes one away (`remove`), adds a person
    (`add`, by user name) or takes one out (`out`), makes a key (`key`) or revokes one (`revoke`)."""
    event = request.GET.get("slug", "")
    caller.rights.require(CHANGE, event)
    if is_follower():
        return sentence_page(request, caller, "Teams are made where the event is, never on a copy.", 403)
    form = _form(request, caller, event)
    problem = ""
    if request.method == "POST":
        try:
            answer = _change(request, caller, event, form)
        except forms.ValidationError as error:
            problem = " ".join(error.messages)
        else:
            if answer is not None:
                return answer
            tell_of_change()
            return redirect(f"{reverse('tickets:teams')}?{urlencode({'slug': event})}")
    row = read.event_row(LEARNER_ALIAS, event)
    context = frame(caller, "Events") | {
        "event": event,
        "event_name": (row.name if row is not None else "") or event,
        "zone": event_zones.zone_of(row),
        "teams": [_shown(team) for team in _teams(event).prefetch_related("members", "keys")],
        "form": form,
        "problem": problem,
        "name_max": NAME_LENGTH_MAX,
    }
    return render(request, "files/event_teams.html", context, status=400 if problem else 200)


def _teams(event: str) -> Any:
    """Those that are for this event alone."""
    return Team.objects.filter(all_events=False, events=[event])


def _shown(team: Team) -> dict[str, Any]:
    return {
        "team": team,
        "means": [RIGHTS[name] for name in RIGHTS if name in team.rights],
        "people": sorted(member.get_username() for member in team.members.all()),
        "keys": sorted(team.keys.usable(), key=lambda key: key.label),  # type: ignore[attr-defined]
    }


def _form(request: HttpRequest, caller: Caller, event: str) -> TeamForm:
    here = caller.rights.at(event)
    own = caller.rights.lists(ADMIT, event)
    known = list_counts.lists_of(read.event_row(LEARNER_ALIAS, event))
    offered = {slug: lists.name_of(known[slug], slug) for slug in known if slug in (own or known)}
    data = request.POST if "make" in request.POST else None
    return TeamForm(
        data,
        rights=[name for name in RIGHTS if name in here - PLATFORM_WIDE],
        offered=offered,
        needs_lists=bool(own),
    )


def _change(request: HttpRequest, caller: Caller, event: str, form: TeamForm) -> HttpResponse | None:
    """Do what was sent; a page if there is something to show. Raises ValidationError, ApiError (403, 404)."""
    sent = request.POST
    if "make" in sent:
        if not form.is_valid():
            raise forms.ValidationError([error for found in form.errors.values() for error in found])
        team = Team(
            name=form.cleaned_data["name"],
            events=[event],
            rights=sorted(form.cleaned_data["rights"]),
            lists=sorted(form.cleaned_data["lists"]),
            products=sorted(caller.rights.products(ADMIT, event)),
        )
        _require_own(caller, team, event)
        team.save()
        return None
    if "revoke" in sent:
        key = ApiKey.objects.filter(team__in=_teams(event), pk=_number(sent["revoke"])).first()
        if key is None:
            raise _nothing("The event has no such key.")
        _require_own(caller, key.team, event)
        revoke_api_key(key)
        return None
    team = _teams(event).filter(pk=_number(sent.get("team", ""))).first()
    if team is None:
        raise _nothing("The event has no such team.")
    _require_own(caller, team, event)
    if "remove" in sent:
        if team.keys.usable().exists():  # type: ignore[attr-defined]
            raise forms.ValidationError("Revoke its keys and links first.")
        if team.keys.exists():  # the log names their numbers
            team.members.clear()
            team.rights, team.name = [], f"{team.name} (ended)"[-NAME_LENGTH_MAX:]
            team.save()
        else:
            team.delete()
    elif "out" in sent:
        team.members.remove(*User.objects.filter(username=sent["out"]))
    elif "add" in sent:
        user = User.objects.filter(username=sent["add"].strip(), is_active=True).first()
        if user is None:
            raise forms.ValidationError("There is no such user. Administrators make users.")
        team.members.add(user)
    elif "key" in sent:
        return _make_key(request, caller, event, team)
    return None


def _make_key(request: HttpRequest, caller: Caller, event: str, team: Team) -> HttpResponse:
    named = KeyForm(request.POST)
    if not named.is_valid():
        raise forms.ValidationError([error for found in named.errors.values() for error in found])
    plain = generate_api_key()
    store_api_key(plain, label=named.cleaned_data["label"], team=team)
    context = frame(caller, "Events") | {
        "event": event,
        "team": team,
        "label": named.cleaned_data["label"],
        "key": plain,
    }
    return render(request, "files/event_key.html", context)


def _require_own(caller: Caller, team: Team, event: str) -> None:
    """Raise ApiError (403) unless the caller may give away all that the team may."""
    if not caller.rights.includes(grant_of(team), event):
        raise ApiError(403, reasons.NOT_PERMITTED, "This team may do more at this event than you may.")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


def _nothing(text: str) -> ApiError:
    return ApiError(404, "not_found", text)
