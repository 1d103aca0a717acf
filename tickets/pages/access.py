"""Who may open the pages of files."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from http import HTTPStatus
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt

from dtvn.api.errors import ApiError
from dtvn.api.rights import READ
from validators.dashboard.views import frame, gate_address
from validators.rest.errors import UNAUTHORIZED
from validators.rest.keys import ANYBODY, Caller, authenticate_key, caller_of_person, key_of
from validators.services import audit
from validators.services.login_throttle import client_address
from validators.services.teams import NAMES_SEEN_WITH

BY_LINK = "dtvn_link"
"""Cookie of a browser whose last login was a steward's link: once that has ended it is told so, and sees no
form for names and passwords."""
Named = ParamSpec("Named")
_CSRF = CsrfViewMiddleware(lambda _: HttpResponse())
View = Callable[Concatenate[HttpRequest, Caller, Named], HttpResponseBase]


def with_scope(
    *scopes: str,
    keys: bool = False,
    by_event: bool = False,
    stewards: bool = False,
) -> Callable[[View[Named]], Callable[Concatenate[HttpRequest, Named], HttpResponseBase]]:
    """Decorator: the view gets the caller, who has any of the scopes (none given: may read) for all events.
    Others are redirected to the login, or get 403. Changes and downloads are recorded. Nothing is cached.
    `keys`: requests with an API key in their header, as of a command, are answered in JSON; pages of other
    sites cannot set it, so they need no CSRF token. `by_event`: the caller has a scope at some event, and the
    view itself asks at which; its ApiError becomes a page. `stewards`: the page is for them, too."""

    def decorate(view: View[Named]) -> Callable[Concatenate[HttpRequest, Named], HttpResponseBase]:
        @wraps(view)
        def answer(request: HttpRequest, *args: Named.args, **named: Named.kwargs) -> HttpResponseBase:
            with_key = keys and has_key(request)
            caller = _caller_of_key(request) if with_key else caller_of_person(request)
            if keys and not with_key and (forged := _CSRF.process_view(request, view, (), {})) is not None:
                return forged
            if caller is None:
                return JsonResponse({"error": UNAUTHORIZED}, status=401) if with_key else _login(request)
            if caller.is_steward and not stewards and not with_key:
                return redirect(gate_address(caller))
            if not stewards:
                caller = caller.on_pages()
            why = _why_not(caller, scopes or (READ,), by_event=by_event, stewards=stewards)
            if why:
                return refused(request, caller, why, 403)
            action, address = f"{request.method} {request.path}", client_address(request)
            query = request.META.get("QUERY_STRING", "")
            row = (
                audit.record(caller.actor, action, query, address=address)
                if request.method == "POST"
                else None
            )
            try:
                response = view(request, caller, *args, **named)
            except ApiError as error:
                response = refused(request, caller, str(error), error.status)
            if row is not None:
                audit.finish(
                    row, "ok" if response.status_code < HTTPStatus.BAD_REQUEST else str(response.status_code)
                )
            elif "Content-Disposition" in response.headers:
                audit.record(caller.actor, action, query, "sent", address)
            response.headers["Cache-Control"] = "no-store"
            return response

        return csrf_exempt(answer) if keys else answer

    return decorate


def has_key(request: HttpRequest) -> bool:
    """Whether a request is of a program: it has an API key in its header."""
    return bool(key_of(request))


def _login(request: HttpRequest) -> HttpResponse:
    if request.COOKIES.get(BY_LINK) and caller_of_person(request) is None:
        return render(request, "dashboard/gate_link.html", {"ended": True}, status=403)
    return redirect_to_login(request.get_full_path())


def _caller_of_key(request: HttpRequest) -> Caller | None:
    return ANYBODY if settings.API_IS_OPEN else authenticate_key(key_of(request) or "")


def _why_not(caller: Caller, scopes: Collection[str], *, by_event: bool, stewards: bool) -> str:
    """Why a page is not for this caller, "" if it is."""
    if not (caller.rights.grants or stewards):
        return "This login opens the gate's page only."
    if not caller.rights.has(*scopes):
        return f"This needs the scope {' or '.join(map(repr, scopes))}."
    if not (by_event or caller.rights.may_any(scopes, None)):
        return f"This login is only for {caller.rights.words()}; this page needs one for all events."
    return ""


def may_see_names(caller: Caller, event: str | None) -> bool:
    """Whether the visitor may see and search the names, companies and orders of the guests of an event;
    None: of all."""
    return caller.rights.may_any(NAMES_SEEN_WITH, event)


def may_see_addresses(caller: Caller, event: str | None) -> bool:
    """Whether the visitor may see all of a holder's data at an event; None: at all."""
    return caller.rights.may("addresses", event)


def refused(request: HttpRequest, caller: Caller, text: str, status: int) -> HttpResponse:
    """Why something was not done: a page for people, JSON for programs."""
    if has_key(request):
        return JsonResponse({"error": text}, status=status)
    return sentence_page(request, caller, text, status)


def sentence_page(request: HttpRequest, caller: Caller, text: str, status: int) -> HttpResponse:
    """A page that says why something was not done."""
    context = frame(caller, "Tickets") | {"sentence": text}
    return render(request, "files/sentence.html", context, status=status)
