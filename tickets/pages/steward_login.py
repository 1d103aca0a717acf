"""Where a steward's link leads: one button begins a session with the key of the link.

The key stands behind the # of the address, which browsers send to no server; the page posts it, as the login
form posts a key.
"""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from tickets.pages.access import BY_LINK
from validators.dashboard.login import log_in_with_key
from validators.dashboard.views import gate_address
from validators.rest.keys import caller_of_user

LINK_LASTS = timedelta(days=366)
"""For so long an idle device stays logged in by a link that has not ended."""


@never_cache
@sensitive_post_parameters("key")
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The button; a POST with the `key` leads to the gate's page, or says that the link has ended."""
    if request.method == "GET":
        known = caller_of_user(request.user)
        return render(
            request, "dashboard/gate_link.html", {"replaces": known and request.user.get_username()}
        )
    caller = log_in_with_key(request)
    if caller is None:
        return render(request, "dashboard/gate_link.html", {"ended": True}, status=403)
    request.session.set_expiry(LINK_LASTS)  # the link itself has its own end, which ends the session too
    response = redirect(gate_address(caller))
    response.set_cookie(
        BY_LINK, "1", max_age=LINK_LASTS, secure=request.is_secure(), httponly=True, samesite="Lax"
    )
    return response
