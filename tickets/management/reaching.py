"""Finds the platform that a command talks to, and whether it is there: a dead address or a wrong key ends the
command at once, with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import CommandError

from dtvn.waiting import saying
from tickets.importing.platform import Platform, PlatformUnknown, platform_of
from tickets.importing.until_final import TRY_AGAIN

EXIT_NOTHING_DONE = 2
CONNECT_WITHIN = 2.5
"""Seconds in which an address must take a connection; people are told within three."""
ANSWER_WITHIN = 15.0
CHECKED_PATH = "/api/v1/status"
"""Any valid key may read it, one for a single event too."""


def named_platform(options: Mapping[str, Any]) -> Platform:
    """The platform of --url and --api-key, or of the credentials file. Raises CommandError (2)."""
    try:
        platform = platform_of(settings.DATA, url=options["url"], api_key=options["api_key"])
    except PlatformUnknown as error:
        raise CommandError(str(error), returncode=EXIT_NOTHING_DONE) from error
    if not (platform.api_key.isascii() and platform.api_key.isprintable()):  # a header takes no other
        text = "The API key holds characters that cannot be sent: copy it again, without its line end."
        raise CommandError(text, returncode=EXIT_NOTHING_DONE)
    return platform


def reached_platform(options: Mapping[str, Any]) -> Platform:
    """The same, after one answer of it. Raises CommandError (2) if nothing answers there, or not to this
    key."""
    platform = named_platform(options)
    limits = httpx.Timeout(ANSWER_WITHIN, connect=CONNECT_WITHIN)
    try:
        with saying(f"an answer from {platform.url}"):
            answer = httpx.get(
                platform.url + CHECKED_PATH,
                headers={"X-API-Key": platform.api_key},
                timeout=limits,
                trust_env=False,
            )
    except httpx.TransportError as error:
        why = str(error) or type(error).__name__
        text = f"No platform answers at {platform.url} ({why}): is it running, and is --url right?"
        raise CommandError(text, returncode=EXIT_NOTHING_DONE) from error
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        text = f"{platform.url} refused the API key; see the credentials file, or give --api-key."
        raise CommandError(text, returncode=EXIT_NOTHING_DONE)
    if answer.status_code not in TRY_AGAIN and not answer.headers.get("Content-Type", "").endswith("json"):
        text = f"What answers at {platform.url} is no platform of tickets: is --url right?"
        raise CommandError(text, returncode=EXIT_NOTHING_DONE)
    return platform
