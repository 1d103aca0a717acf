"""Tells what each kind of exception is answered with, and the status of each outcome."""

from __future__ import annotations

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from rest_framework import exceptions

from dtvn.api.errors import ApiError, InvalidRequest, OutcomeUnknown, TicketError, Unavailable
from dtvn.machine import reasons
from tests.api.telling import Story, beside
from tests.golden import Compare
from validators.rest.errors import describe, status_of

ERRORS: tuple[Exception, ...] = (
    ApiError(418, "teapot", "It is a teapot.", headers={"X-Tea": "1"}),
    InvalidRequest("limit must be a number"),
    TicketError("blocked", "It is blocked."),
    Unavailable("There is no cluster."),
    OutcomeUnknown(),
    exceptions.NotAuthenticated(),
    exceptions.AuthenticationFailed("wrong key"),
    exceptions.PermissionDenied("Not with this key."),
    exceptions.MethodNotAllowed("PATCH"),
    Http404("no such page"),
    RequestDataTooBig("too big"),
    BadRequest("odd"),
    SuspiciousOperation("odd"),
    UnreadablePostError("gone"),
    exceptions.ParseError("no JSON"),
    OperationalError("database is locked"),
    InterfaceError("connection already closed"),
    DatabaseError("a mistake of ours"),
    ZeroDivisionError("a mistake of ours"),
    exceptions.NotFound(),
)


def test_what_exceptions_are_answered_with(golden: Compare) -> None:
    story = Story()
    for error in ERRORS:
        answer = describe(error)
        story.say(f"{type(error).__name__}: {answer.status} {answer.code} {answer} {dict(answer.headers)}")
    for code in (*sorted(reasons.REASONS), "unknown_here"):
        story.say(f"{code}: {status_of(code)}")
    golden(beside(__file__, "errors"), str(story))
