"""A node's log: lines on the output of its process, and in a rotating file in its folder."""

from __future__ import annotations

import logging
import sys
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

from dtvn.log_limit import limit
from dtvn.node.json_lines import JsonLines
from dtvn.node.layout import NodeFolder, make_private
from dtvn.node.options import StartError
from dtvn.node.settings import Settings

FILE_BYTES_MAX = 10 * 1024 * 1024
FILES_KEPT = 5
BEGUN = "begun"
"""Logged when an operator starts a node; the platform shows the log from the newest such line."""
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def node_logger(node_directory: Path) -> logging.Logger:
    """The logger of the node in this folder; its lines reach the handlers of the root logger too. Raises
    StartError if the folder of its log cannot be written.

    Repeated calls in a process return the same logger and file.
    """
    folder = NodeFolder(node_directory)
    logger = logging.getLogger(f"dtvn.node.{folder.id}")
    logger.setLevel(min(logging.INFO, logging.getLogger().level or logging.INFO))
    target = str((folder.log / "node.log").absolute())
    for handler in list(logger.handlers):
        if isinstance(handler, RotatingFileHandler):
            if handler.baseFilename == target:
                return logger
            logger.removeHandler(handler)
            handler.close()
    try:
        make_private(folder.log)
        handler = RotatingFileHandler(
            target, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8"
        )
    except OSError as error:
        raise StartError(f"{folder.log} cannot be written: {error.strerror}.") from error
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-8s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(limit)
    logger.addHandler(handler)
    return logger


def begin_log(node_directory: Path) -> None:
    """Log the line that marks the beginning of a start which an operator asked for."""
    node_logger(node_directory).info(BEGUN)


def configure_logging(settings: Settings) -> None:
    """Configure logging by the settings `logging.*`; raise StartError for a file that cannot be written."""
    output = settings["logging.output"]
    handler: logging.Handler
    if output in ("stdout", "stderr"):
        handler = logging.StreamHandler(getattr(sys, output))
    else:
        try:
            handler = logging.FileHandler(output, encoding="utf-8")
        except OSError as error:
            raise StartError(f"logging.output: {output} cannot be written: {error.strerror}.") from error
    plain = logging.Formatter("%(asctime)s %(levelname)-8s %(message)s", "%H:%M:%S")
    handler.setFormatter(JsonLines() if settings["logging.format"] == "json" else plain)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    handler.setLevel(LEVELS[settings["logging.level"]])
    handler.addFilter(limit)
    root.addHandler(handler)
    root.setLevel(LEVELS[settings["logging.level"]])
