"""Log in with an API key instead of a user name (spec 9.4); log out of either kind of session."""

from __future__ import annotations

from typing import cast

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from validators.rest.keys import enter_key


@never_cache
@sensitive_post_parameters("key")
@require_POST
def enter(request: HttpRequest) -> HttpResponse:
    """Begin a session with this key and redirect to the requested page; show the form again for a wrong
    key."""
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    following = wanted if safe else reverse("dashboard:page")
    if enter_key(request, request.POST.get("key", "").strip()):
        return redirect(following)
    context = {
        "app_path": f"{reverse('admin:login')}?{urlencode({'next': following})}",
        "next": following,
        "key_problem": "This key is not valid, or no longer valid.",
    }
    return render(request, "admin/login.html", context)


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """End the session, of a user or of a key."""
    logout(request)
    return cast(HttpResponse, redirect("admin:login"))
