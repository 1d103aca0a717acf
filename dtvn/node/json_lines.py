"""Log lines as JSON objects, for programs that collect logs."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import msgspec

FIELDS = "fields"
"""Attribute of a record with further members of its object, by name; they replace no other member."""


class JsonLines(logging.Formatter):
    """One JSON object per line: time (UTC, ISO 8601), level, logger, message, traceback if any, the members
    of `always`, and those of the record's FIELDS."""

    def __init__(self, always: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._always = dict(always or {})

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line: dict[str, Any] = {
            "time": utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode({**self._always, **getattr(record, FIELDS, {}), **line}).decode()


def utc(seconds: float) -> str:
    """Unix seconds in ISO 8601 with milliseconds."""
    whole, milliseconds = divmod(int(seconds * 1_000), 1_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03d}Z"


def is_json(logger: logging.Logger) -> bool:
    """Whether a handler of this logger writes JSON."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logger.handlers)
