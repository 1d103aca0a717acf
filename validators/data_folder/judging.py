"""How the platform has events judged (`DTVN_EVENTS_CONFIG`): a profile of the contract by name, or a file."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from dtvn.events.config import DistributedValidatorConfig

VARIABLE = "DTVN_EVENTS_CONFIG"
NODE_ID = "platform"
"""The `node_id` of a file that names none."""


def events_config() -> DistributedValidatorConfig | None:
    """The configuration that the environment names; None: as the number of members allows. Raises
    ImproperlyConfigured."""
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    # Most processes have no such variable, and need not wait for these imports.
    from dtvn.events.config import PROFILES, ConfigError, read_config

    try:
        return read_config({"node_id": NODE_ID} | given_values(named))
    except FileNotFoundError:
        text = f"{VARIABLE}={named} is none of {', '.join(PROFILES)}, and no file"
        raise ImproperlyConfigured(text) from None
    except OSError as error:
        raise ImproperlyConfigured(f"{VARIABLE}={named} cannot be read: {error.strerror}") from error
    except (ConfigError, ValueError) as error:
        raise ImproperlyConfigured(f"{VARIABLE}={named}: {error}") from error


def given_values(named: str) -> dict[str, Any]:
    """The fields that the profile or file `named` sets; raises ValueError, OSError."""
    from dtvn.events.config import PROFILES

    profile = PROFILES.get(named.replace("-", "_"))
    return _read(Path(named).expanduser()) if profile is None else profile


def _read(path: Path) -> dict[str, Any]:
    """The fields in a TOML or JSON file (by its suffix); raises ValueError, OSError."""
    content = path.read_bytes().decode()
    found = json.loads(content) if path.suffix == ".json" else tomllib.loads(content)
    if not isinstance(found, dict):
        raise ValueError("a JSON object is needed")
    return found
