"""Import of a file in the browser: upload, preview, confirmation, progress, report."""

from __future__ import annotations

import csv
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dtvn.api.errors import ServiceError
from dtvn.machine.fields import DEFAULT_EVENT
from tickets.exporting import FORMS, KINDS, defused
from tickets.importing import uploads
from tickets.importing.record import FileRefused
from tickets.importing.uploads import UploadOptions
from tickets.models import ImportState, TicketImport
from tickets.pages.access import sentence_page, with_scope
from tickets.pages.exports import SCOPES
from tickets.tasks import send
from validators.dashboard.views import frame
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger.read import list_events
from validators.rest.keys import Caller
from validators.services.roles import CODES_SEEN_WITH

SCOPE = "issue"
SHOWN = 200
"""Rows of each kind on the page; the report has more."""
LISTED = 10
FILE_BYTES_MAX = 16_000_000
"""Of an upload: with the form's other fields it fits into the longest body, see body_limit."""
TONE = {
    ImportState.READING: "accent",
    ImportState.PREVIEW: "warn",
    ImportState.ISSUING: "accent",
    ImportState.DONE: "ok",
    ImportState.STOPPED: "bad",
    ImportState.REFUSED: "bad",
}


@require_http_methods(["GET", "POST"])
@with_scope()
def files(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """The form, the newest imports and the exports; a POST takes a file."""
    if request.method == "GET":
        return _files_page(request, caller)
    if SCOPE not in caller.scopes:
        return sentence_page(request, caller, f"This needs the scope {SCOPE!r}.", 403)
    upload = request.FILES.get("file")
    if upload is None:
        return _files_page(request, caller, problem="Choose a file.", status=400)
    try:
        made = uploads.begin(
            upload.name or "file", upload.read(), _options(request), actor=caller.actor, send=send
        )
    except FileRefused as error:
        return _files_page(request, caller, problem=str(error), status=400)
    except ServiceError as error:
        return _files_page(request, caller, problem=str(error), status=error.status)
    return redirect("tickets:import", import_id=made.pk)


@require_GET
@with_scope(SCOPE)
def show(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponse:
    """One import: what was understood, what is wrong, and how far it is."""
    one = _find(import_id)
    report = one.report
    context = frame(caller, "Tickets") | {
        "one": one,
        "tone": TONE[ImportState(one.state)],
        "working": one.state in uploads.WORKING,
        "startable": one.state in (ImportState.PREVIEW, ImportState.STOPPED),
        "report": report,
        "sample": one.preview.get("sample", []),
        "shown": SHOWN,
        "problems": [
            (title, report.get(f"{kind}_count", 0), report.get(kind, [])[:SHOWN])
            for kind, title in (("wrong", "Wrong rows"), ("left_out", "Rows left out"))
            if report.get(kind)
        ],
    }
    return render(request, "files/import.html", context)


@require_GET
@with_scope(SCOPE)
def state(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponse:
    """State and progress of one import, and what it waits for, as JSON for its page."""
    one = _find(import_id)
    waits_for = uploads.waits_for(one)
    return JsonResponse({"state": one.state, "done": one.done, "total": one.total, "waits_for": waits_for})


@require_GET
@with_scope(SCOPE)
def report(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponse:
    """The rows that were not imported, as CSV; where they are more than are stored, a line says so."""
    one = _find(import_id)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="import-{one.pk}.csv"'
    rows = csv.writer(response)
    rows.writerow(["row", "result", "reason"])
    kinds = ("wrong", "left_out")
    for kind in kinds:
        for row in one.report.get(kind, []):
            rows.writerow([row["row"], kind, defused(row["reason"])])
    for kind in kinds:
        if more := one.report.get(f"{kind}_count", 0) - len(one.report.get(kind, [])):
            told = f"and {more:,} more: manage.py import_tickets --report FILE lists all"
            rows.writerow(["", kind, told])
    return response


@require_POST
@with_scope(SCOPE)
def confirm(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponseBase:
    """Import what the preview shows, or go on with an import that stopped."""
    one = _find(import_id)
    if one.report.get("operates") and "operate" not in caller.scopes:
        text = "This file has entries or replaced codes: to bring them needs the scope 'operate'."
        return sentence_page(request, caller, text, 403)
    try:
        uploads.confirm(one, actor=caller.actor, send=send)
    except ServiceError as error:
        return sentence_page(request, caller, str(error), error.status)
    return redirect("tickets:import", import_id=one.pk)


@require_POST
@with_scope(SCOPE)
def discard(request: HttpRequest, caller: Caller, import_id: int) -> HttpResponseBase:
    """Delete an import and its file."""
    try:
        uploads.discard(_find(import_id))
    except ServiceError as error:
        return sentence_page(request, caller, str(error), error.status)
    return redirect("tickets:files")


def _files_page(request: HttpRequest, caller: Caller, problem: str = "", status: int = 200) -> HttpResponse:
    uploads.forget_old()
    may_import = SCOPE in caller.scopes
    newest = TicketImport.objects.defer("content", "preview", "report")[:LISTED] if may_import else []
    context: dict[str, Any] = frame(caller, "Tickets") | {
        "problem": problem,
        "file_max": FILE_BYTES_MAX,
        "file_mb": FILE_BYTES_MAX // 1_000_000,
        "may_import": may_import,
        "imports": [(one, TONE[ImportState(one.state)]) for one in newest],
        "given": request.POST,
        "default_event": DEFAULT_EVENT,
        "events": list_events(LEARNER_ALIAS),
        "codes": bool(caller.scopes & CODES_SEEN_WITH),
        "codes_seen_with": " or ".join(sorted(CODES_SEEN_WITH)),
        "kinds": [kind for kind in KINDS if not SCOPES[kind] or caller.scopes & SCOPES[kind]],
        "forms": list(FORMS),
    }
    return render(request, "files/files.html", context, status=status)


def _options(request: HttpRequest) -> UploadOptions:
    given = request.POST
    return UploadOptions(
        event=given.get("event", "").strip(),
        answers=[line.strip() for line in given.get("answers", "").splitlines() if line.strip()],
    )


def _find(import_id: int) -> TicketImport:
    uploads.settle()
    one = TicketImport.objects.defer("content").filter(pk=import_id).first() if import_id < 2**63 else None
    if one is None:
        raise Http404
    return one
