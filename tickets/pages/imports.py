"""Import of a file in the browser: upload, preview, confirmation, progress, report."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Any

import msgspec
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dtvn.api.errors import ApiError, ServiceError
from dtvn.api.rights import READ
from dtvn.machine.fields import DEFAULT_EVENT
from tickets.exporting import FORMS, KINDS, defused
from tickets.importing import shown, uploads
from tickets.importing.answers import Answers
from tickets.importing.kinds import NEW, SHOWN_KINDS
from tickets.importing.record import FileRefused
from tickets.importing.uploads import UploadOptions
from tickets.models import ImportState, TicketImport
from tickets.pages.access import has_key, sentence_page, with_scope
from tickets.pages.clocks import by_city
from tickets.pages.event_choice import event_choices
from tickets.pages.exports import SCOPES
from tickets.pages.import_choice import changes_as_json, choice_sent, confirm_words, groups_of, pages_after
from tickets.pages.import_form import (
    SAYS,
    TITLES,
    answers_sent,
    as_sent,
    event_sent,
    fields_of,
    with_flags,
)
from tickets.tasks import send
from validators.dashboard.views import frame
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger.read import list_events
from validators.rest.keys import Caller
from validators.services.following import is_follower
from validators.services.teams import CODES_SEEN_WITH

SCOPE = "issue"
PROBLEMS = {"unconfirmed": "Not confirmed", "wrong": "Wrong rows", "left_out": "Rows left out"}
"""Field of a report with rows that were not imported -> its title."""
SHOWN = 200
"""Rows of each kind on the page; the report has more."""
LISTED = 10
FILE_BYTES_MAX = 16_000_000
"""Of an upload: with the form's other fields it fits into the longest body, see body_limit."""
FIELD_WORDS = {"not_before": "valid from", "not_after": "valid until"}
"""Field of a ticket -> its words for people, where they are not its name."""
DECIDING = frozenset({"status", "entered"})
"""Fields that are read from all their columns; of others the first filled column counts."""
TONE = {
    ImportState.READING: "accent",
    ImportState.ASKING: "warn",
    ImportState.PREVIEW: "warn",
    ImportState.ISSUING: "accent",
    ImportState.DONE: "ok",
    ImportState.STOPPED: "bad",
    ImportState.REFUSED: "bad",
}


@require_http_methods(["GET", "POST"])
@with_scope(keys=True, by_event=True)
def files(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """The form, the newest imports, and the exports of the event `event`, of all for ""; a POST takes a
    file."""
    if request.method == "GET":
        return _files_page(request, caller)
    event = request.POST.get("event", "").strip() or caller.rights.only_event
    caller.rights.require(SCOPE, event or None)  # a file that names its events is for whoever may use all
    upload = request.FILES.get("file")
    try:
        if upload is None:
            raise FileRefused("Choose a file.")
        options = UploadOptions(event=event, answers=_answers(request), into=_into(caller, event))
        made = uploads.begin(upload.name or "file", upload.read(), options, actor=caller.actor, send=send)
    except (FileRefused, ServiceError) as error:
        status = error.status if isinstance(error, ServiceError) else 400
        if has_key(request):
            return _refusal(request, caller, str(error), status)
        return _files_page(request, caller, problem=str(error), status=status)
    return _went_on(request, made)


@require_GET
@with_scope(SCOPE, keys=True, by_event=True)
def show(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponse:
    """One import: what was understood, what is asked, what is wrong, and how far it is."""
    one = _find(import_id, caller)
    if has_key(request):
        preview = {name: value for name, value in one.preview.items() if name != "source"}
        return JsonResponse(_state(one) | {"error": one.error, "preview": preview, "report": one.report})
    return _import_page(request, caller, one)


@require_GET
@with_scope(SCOPE, keys=True, by_event=True)
def state(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponse:
    """State and progress of one import, and what it waits for, as JSON for its page."""
    return JsonResponse(_state(_find(import_id, caller)))


@require_GET
@with_scope(SCOPE, by_event=True)
def report(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponse:
    """The rows that are not imported, and what a preview shows, as CSV; where the first are more than are
    stored, a line says so."""
    one = _find(import_id, caller)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="import-{one.pk}.csv"'
    rows = csv.writer(response)
    rows.writerow(["row", "result", "reason"])
    for kind in PROBLEMS:
        for row in one.report.get(kind, []):
            rows.writerow([row["row"], kind, defused(row["reason"])])
    for kind in PROBLEMS:
        if more := one.report.get(f"{kind}_count", 0) - len(one.report.get(kind, [])):
            rows.writerow(["", kind, f"and {more:,} more"])
    if one.state == ImportState.PREVIEW:
        for each in shown.every(one):
            rows.writerow([each.row or "", SHOWN_KINDS[each.kind], defused(each.words)])
    return response


@require_POST
@with_scope(SCOPE, keys=True, by_event=True)
def answer(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponseBase:
    """Have the file read again under these answers."""
    one = _find(import_id, caller)
    options = msgspec.convert(one.options, UploadOptions)
    try:
        answers = answers_sent(request.POST, options.answers, one.preview.get("asked", []))
        event = event_sent(request.POST, options.event)
        caller.rights.require(SCOPE, event or None)
        options = msgspec.structs.replace(options, event=event, answers=answers, into=_into(caller, event))
        uploads.answer(one, options, send=send)
    except FileRefused as error:
        return _import_page(request, caller, one, problem=str(error), sent=request.POST)
    except ServiceError as error:
        return _refusal(request, caller, str(error), error.status)
    return _went_on(request, one)


@require_GET
@with_scope(SCOPE, keys=True, by_event=True)
def changes(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponse:
    """What a preview shows of one kind, a page of it, as JSON; without a kind, how much there is of each."""
    one = _find(import_id, caller)
    try:
        found = changes_as_json(one, request.GET)
    except FileRefused as error:
        return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse(found)


@require_POST
@with_scope(SCOPE, keys=True, by_event=True)
def choose(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponse:
    """Keep what is ticked, tick all of a kind or none of it, and go to a page of it; nothing is ordered."""
    one = _find(import_id, caller)
    try:
        _check_token(request, one)
        uploads.choose(one, choice_sent(request.POST))
        address = reverse("tickets:import", args=[one.pk]) + pages_after(request.POST)
    except (FileRefused, ServiceError) as error:
        status = error.status if isinstance(error, ServiceError) else 400
        return _refusal(request, caller, str(error), status)
    return JsonResponse({}) if has_key(request) else redirect(address)


@require_POST
@with_scope(SCOPE, keys=True, by_event=True)
def confirm(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponseBase:
    """Have what is ticked ordered, or go on with an import that stopped. A program may name kinds as
    `change`; `apply`: all kinds that need no person, if the source is trusted."""
    one = _find(import_id, caller)
    try:
        _check_token(request, one)
        uploads.confirm(
            one,
            actor=caller.actor,
            may_change=_may_change(one, caller),
            send=send,
            choice=choice_sent(request.POST),
            unseen="apply" in request.POST,
        )
    except (FileRefused, ServiceError) as error:
        status = error.status if isinstance(error, ServiceError) else 400
        return _refusal(request, caller, str(error), status)
    return _went_on(request, one)


@require_POST
@with_scope(SCOPE, keys=True, by_event=True)
def discard(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponseBase:
    """Delete an import and its file."""
    try:
        uploads.discard(_find(import_id, caller))
    except ServiceError as error:
        return _refusal(request, caller, str(error), error.status)
    return JsonResponse({}) if has_key(request) else redirect("tickets:files")


def _check_token(request: HttpRequest, one: TicketImport) -> None:
    """Raise ImportRefused if the page that was sent shows something else than what would be ordered."""
    if request.POST.get("token", one.token) != one.token:
        raise uploads.ImportRefused(uploads.CHANGED_MEANWHILE)


def _state(one: TicketImport) -> dict[str, Any]:
    return {"state": one.state, "done": one.done, "total": one.total, "waits_for": uploads.waits_for(one)}


def _went_on(request: HttpRequest, one: TicketImport) -> HttpResponseBase:
    """To the import's page, or its number for the command."""
    return JsonResponse({"id": one.pk}) if has_key(request) else redirect("tickets:import", import_id=one.pk)


def _refusal(request: HttpRequest, caller: Caller, text: str, status: int) -> HttpResponse:
    if has_key(request):
        return JsonResponse({"error": text}, status=status)
    return sentence_page(request, caller, text, status)


def _import_page(
    request: HttpRequest, caller: Caller, one: TicketImport, problem: str = "", sent: QueryDict | None = None
) -> HttpResponse:
    """`sent`: the form, if it has to be corrected; the status is 400 then."""
    report, options = one.report, msgspec.convert(one.options, UploadOptions)
    fields, answers = fields_of(one.preview.get("asked", []), options.event), options.answers
    if sent is not None:
        fields, answers = as_sent(fields, sent), with_flags(answers, sent)
    unanswerable = {field.title for field in fields}
    context = frame(caller, "Tickets") | {
        "one": one,
        "problem": problem or one.error,
        "state": _shown_state(one, report),
        "working": one.state in uploads.WORKING,
        "startable": one.state in (ImportState.PREVIEW, ImportState.STOPPED),
        "changeable": one.state in uploads.ANSWERABLE and "asked" in one.preview,
        "report": report,
        "read": [
            (
                FIELD_WORDS.get(each["field"], each["field"].replace("_", " ")),
                (" and " if each["field"] in DECIDING else ", else ").join(each["columns"]),
            )
            for each in report.get("read", [])
        ],
        "open": [field for field in fields if field.open],
        "settled": [field for field in fields if not field.open],
        "columns": [field for field in fields if field.open and field.control == "column"],
        "told": [
            (title, told["words"], told["origin"])
            for told in report.get("told", [])
            if (title := TITLES[told["id"].partition(":")[0]]) not in unanswerable
        ],
        "answers": answers,
        "says": SAYS,
        "event": options.event,
        "workbook": one.file_name.lower().endswith(".xlsx") or "Excel" in report.get("form", ""),
        "zones": by_city() if fields else [],
        "events": caller.rights.seen(list_events(LEARNER_ALIAS), SCOPE) if fields else [],
        "sample": one.preview.get("sample", []),
        "groups": (groups := groups_of(one, request.GET) if one.state == ImportState.PREVIEW else []),
        "new_ticked": (new := sum(group.chosen for group in groups if group.kind == NEW)),
        "changes_ticked": (others := sum(group.chosen for group in groups if group.kind != NEW)),
        "confirms": confirm_words(new, others),
        "may_change": _may_change(one, caller),
        "shown": SHOWN,
        "problems": [
            (title, report.get(f"{kind}_count", 0), report.get(kind, [])[:SHOWN])
            for kind, title in PROBLEMS.items()
            if report.get(kind)
        ],
    }
    return render(request, "files/import.html", context, status=200 if sent is None else 400)


def _shown_state(one: TicketImport, report: Mapping[str, Any]) -> tuple[str, str]:
    """Words and tone of an import's state. One that left nothing in the network is no success; reports of
    earlier releases do not say what is there."""
    if one.state != ImportState.DONE:
        return one.get_state_display(), TONE[ImportState(one.state)]
    if report.get("present") == 0 and not report.get("ordered"):
        return "Nothing imported", "warn"
    return one.get_state_display(), "warn" if report.get("not_ordered") else TONE[ImportState.DONE]


def _files_page(request: HttpRequest, caller: Caller, problem: str = "", status: int = 200) -> HttpResponse:
    uploads.settle()
    events = [one for one in event_choices() if caller.rights.may(READ, one.slug)]
    asked = request.GET.get("event", events[0].slug if len(events) == 1 else None)
    if asked:
        caller.rights.require(READ, asked)
    chosen = next((one for one in events if one.slug == asked), None)
    if asked and chosen is None and not problem:
        problem, status = f"There is no event {asked!r} here: choose one.", 404
    may_import = (
        caller.rights.may(SCOPE, asked) if asked else caller.rights.has(SCOPE)
    ) and not is_follower()
    handled = _handled(TicketImport.objects.defer("content", "preview", "report"), caller)
    newest = handled.annotate(
        **{field: F(f"report__{field}") for field in ("present", "ordered", "not_ordered")},
        event=F("options__event"),
    )
    if chosen is not None:  # a file that names its events itself may be of this one
        newest = newest.filter(Q(options__event__in=("", chosen.slug)) | Q(options__event__isnull=True))
    context: dict[str, Any] = frame(caller, "Tickets") | {
        "problem": problem,
        "file_max": FILE_BYTES_MAX,
        "file_mb": FILE_BYTES_MAX // 1_000_000,
        "may_import": may_import,
        "imports": [(one, *_shown_state(one, vars(one))) for one in newest[: LISTED if may_import else 0]],
        "given": request.POST,
        "default_event": DEFAULT_EVENT,
        "events": events,
        "chosen": chosen,
        "every": asked == "",
        "codes": caller.rights.may_any(CODES_SEEN_WITH, asked or None),
        "codes_seen_with": " or ".join(sorted(CODES_SEEN_WITH)),
        "kinds": [
            kind for kind in KINDS if not SCOPES[kind] or caller.rights.may_any(SCOPES[kind], asked or None)
        ],
        "forms": list(FORMS),
    }
    return render(request, "files/files.html", context, status=status)


def _answers(request: HttpRequest) -> Answers:
    """The answers of the command, as JSON. Raises FileRefused."""
    try:
        return msgspec.json.decode(request.POST.get("answers") or "{}", type=Answers)
    except msgspec.MsgspecError as error:
        raise FileRefused(f"answers: {error}") from error


def _into(caller: Caller, event: str) -> list[str] | None:
    """The only event into which a file of this caller goes; None: those that it names."""
    return None if caller.rights.may(SCOPE, None) else [event]


def _may_change(one: TicketImport, caller: Caller) -> bool:
    """Whether the caller may change tickets that are in the network, at all events of an import."""
    return all(caller.rights.may(uploads.CHANGE_SCOPE, event) for event in uploads.events_of(one) or (None,))


def _handled(rows: QuerySet[TicketImport], caller: Caller) -> QuerySet[TicketImport]:
    """The imports that the caller may read, answer, confirm and discard: those into one event into which it
    may import. A file of somebody for all events may hold rows of others."""
    own = caller.rights.events(SCOPE)
    return rows if own is None else rows.filter(options__into__0__in=sorted(own))


def _find(import_id: int, caller: Caller) -> TicketImport:
    """Raise ApiError (404) also for an import that is none of this caller's business."""
    uploads.settle()
    known = _handled(TicketImport.objects.defer("content"), caller)
    one = known.filter(pk=import_id).first() if import_id < 2**63 else None
    if one is None:
        raise ApiError(404, "not_found", "There is no such import, or it is not yours.")
    return one
