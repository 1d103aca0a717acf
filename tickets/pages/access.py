"""Who may open the pages of files."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from validators.dashboard.views import frame
from validators.rest.keys import Caller, caller_of_person, caller_of_user
from validators.services import audit
from validators.services.login_throttle import client_address
from validators.services.roles import NAMES_SEEN_WITH

Named = ParamSpec("Named")
View = Callable[Concatenate[HttpRequest, Caller, Named], HttpResponseBase]


def with_scope(
    *scopes: str,
) -> Callable[[View[Named]], Callable[Concatenate[HttpRequest, Named], HttpResponseBase]]:
    """Decorator: the view gets the caller, who has any of the scopes (none given: may read). Others are
    redirected to the login, or get 403. Changes and downloads are recorded. Nothing is cached."""

    def decorate(view: View[Named]) -> Callable[Concatenate[HttpRequest, Named], HttpResponseBase]:
        @wraps(view)
        def answer(request: HttpRequest, *args: Named.args, **named: Named.kwargs) -> HttpResponseBase:
            caller = caller_of_person(request)
            if caller is None:
                return redirect_to_login(request.get_full_path())
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

        return answer

    return decorate


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
