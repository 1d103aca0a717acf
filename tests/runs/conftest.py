"""The platform's judging over members that really vote, without processes."""

from tests.api.conftest import _own_progress, _unswept, api, fake, tables  # noqa: F401 - fixtures
