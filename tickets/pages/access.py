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
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from validators.dashboard.views import frame
from validators.rest.http import for_one_event
from validators.rest.keys import (
    ANYBODY,
    Caller,
    authenticate_key,
    caller_of_person,
    caller_of_user,
    key_of,
)
from validators.services import audit
from validators.services.login_throttle import client_address
from validators.services.roles import NAMES_SEEN_WITH

BY_LINK = "dtvn_link"
"""Cookie of a browser whose last login was a steward's link: once that has ended it is told so, and sees no
form for names and passwords."""
Named = ParamSpec("Named")
_CSRF = CsrfViewMiddleware(lambda _: HttpResponse())
View = Callable[Concatenate[HttpRequest, Caller, Named], HttpResponseBase]


def with_scope(
    *scopes: str,
    keys: bool = False,
    one_event: bool = False,
) -> Callable[[View[Named]], Callable[Concatenate[HttpRequest, Named], HttpResponseBase]]:
    """Decorator: the view gets the caller, who has any of the scopes (none given: may read). Others are
    redirected to the login, or get 403. Changes and downloads are recorded. Nothing is cached. `keys`:
    requests with an API key in their header, as of a command, are answered in JSON; pages of other sites
    cannot set it, so they need no CSRF token. `one_event`: the page shows a login for one event no other."""

    def decorate(view: View[Named]) -> Callable[Concatenate[HttpRequest, Named], HttpResponseBase]:
        @wraps(view)
        def answer(request: HttpRequest, *args: Named.args, **named: Named.kwargs) -> HttpResponseBase:
            with_key = keys and has_key(request)
            caller = _caller_of_key(request) if with_key else caller_of_person(request, one_event=one_event)
            if keys and not with_key and (forged := _CSRF.process_view(request, view, (), {})) is not None:
                return forged
            if with_key and (refusal := _refusal_of_key(caller, scopes)) is not None:
                return refusal
            if caller is None:
                return _login(request)
            if scopes and not caller.scopes & set(scopes):
                wanted = " or ".join(repr(scope) for scope in scopes)
                return sentence_page(request, caller, f"This needs the scope {wanted}.", 403)
            action, address = f"{request.method} {request.path}", client_address(request)
            query = request.META.get("QUERY_STRING", "")
            row = (
                audit.record(caller.actor, action, query, address=address)
                if request.method == "POST"
                else None
            )
            response = view(request, caller, *args, **named)
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
    if request.COOKIES.get(BY_LINK) and caller_of_person(request, one_event=True) is None:
        return render(request, "dashboard/gate_link.html", {"ended": True}, status=403)
    return redirect_to_login(request.get_full_path())


def _caller_of_key(request: HttpRequest) -> Caller | None:
    return ANYBODY if settings.API_IS_OPEN else authenticate_key(key_of(request) or "")


def _refusal_of_key(caller: Caller | None, scopes: Collection[str]) -> HttpResponse | None:
    """What a program is answered that may not come in, None if it may."""
    if caller is None:
        return JsonResponse({"error": "Invalid or missing API key"}, status=401)
    refused = for_one_event(caller)
    if refused is not None:
        return JsonResponse({"error": str(refused)}, status=403)
    if scopes and not caller.scopes & set(scopes):
        wanted = " or ".join(map(repr, scopes))
        return JsonResponse({"error": f"This needs the scope {wanted}."}, status=403)
    return None


def may_see_names(caller: Caller) -> bool:
    """Whether the visitor may see and search the guests' names, companies and orders: services.roles."""
    return bool(caller.scopes & NAMES_SEEN_WITH)


def may_see_addresses(request: HttpRequest, caller: Caller) -> bool:
    """Whether the visitor may see all of a holder's data: users by their role's permission (services.roles),
    others (holders of a key, visitors of an open platform) by the scope `operate`."""
    if caller == caller_of_user(request.user):
        return bool(request.user.has_perm("tickets.view_ticketholder"))
    return "operate" in caller.scopes


def sentence_page(request: HttpRequest, caller: Caller, text: str, status: int) -> HttpResponse:
    """A page that says why something was not done."""
    context = frame(caller, "Tickets") | {"sentence": text}
    return render(request, "files/sentence.html", context, status=status)
