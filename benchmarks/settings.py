"""Django's settings for a benchmark that uses the platform's tables or a node's ledger."""

from __future__ import annotations

import os
from pathlib import Path


def use_folder(folder: Path, database_url: str = "") -> None:
    """Set Django up for this process: its data folder, and its database, the embedded one by default."""
    os.environ |= {"DTVN_DATA": str(folder), "DJANGO_SETTINGS_MODULE": "dtvn_project.settings"}
    os.environ.pop("DATABASE_URL", None)
    if database_url:
        os.environ["DATABASE_URL"] = database_url
    import django

    django.setup()
