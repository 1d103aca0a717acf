"""The learner under the pages' tests: its ledger has one thread, and ends after the requests under way."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.django_db(databases=["default", "learner"])
