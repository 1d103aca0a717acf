"""A node's log: lines to the process's own output, and to a rotating file in its folder."""

from __future__ import annotations

import logging
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

from validators.node.layout import NodeFolder, make_private

__all__ = ["node_logger"]

FILE_BYTES_MAX = 10 * 1024 * 1024
FILES_KEPT = 5


def node_logger(node_directory: Path) -> logging.Logger:
    """The logger of the node in this folder; its lines reach the root's handlers too.

    Called once per process and node; called again it gives the same logger and file.
    """
    folder = NodeFolder(node_directory)
    logger = logging.getLogger(f"dtvn.node.{folder.id}")
    logger.setLevel(logging.INFO)
    target = str((folder.log / "node.log").absolute())
    for handler in list(logger.handlers):
        if isinstance(handler, RotatingFileHandler):
            if handler.baseFilename == target:
                return logger
            logger.removeHandler(handler)
            handler.close()
    make_private(folder.log)
    handler = RotatingFileHandler(target, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8")
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-8s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    return logger
