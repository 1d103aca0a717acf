"""The page *Sessions*: the devices on which a user is logged in, each of which the user can log out."""

from __future__ import annotations

from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from validators.rest.keys import actor_of
from validators.services import audit
from validators.services.login_throttle import client_address
from validators.sessions.models import Digest, Session, digest_of

ALL = "all"


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The list; a POST ends the session that `session` names by its hash, or ALL of them, this one too."""
    if not isinstance(request.user, User):
        return redirect_to_login(request.get_full_path())
    own = Session.objects.filter(user=request.user, expire_date__gt=timezone.now())
    here = digest_of(request.session.session_key or "")
    if request.method == "POST":
        named = request.POST.get("session", "")
        ended = own if named == ALL else own.filter(session_key=Digest(named))
        audit.record(
            actor_of(request.user),
            "end sessions",
            ALL if named == ALL else named[:12],
            str(ended.count()),
            client_address(request),
        )
        ends_here = named in (ALL, here)
        ended.delete()
        if ends_here:
            logout(request)
            return redirect("admin:login")
        return redirect("dashboard:sessions")
    rows = own.order_by("-used_at")
    return render(request, "dashboard/sessions.html", {"sessions": rows, "here": here, "all": ALL})
