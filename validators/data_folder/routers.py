"""Routes each app to the database alias that holds its tables."""

from typing import Any

LEDGER_APP = "ledger"
PLATFORM_ALIAS = "default"
LEARNER_ALIAS = "learner"


class LearnerIsReadOnly(RuntimeError):
    """Platform code tried to write the verified copy of the log. This is a bug, never caused by input."""


class LedgerRouter:
    """Routes ledger tables to the learner's database and all other tables to the platform's.

    A node process reaches its own ledger with an explicit `.using("ledger")`; a query without one comes from
    the platform and reads the learner's verified copy, which only the learner's process writes, with its own
    SQL: no form, serializer or admin action ever does (R28).
    """

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return LEARNER_ALIAS if model._meta.app_label == LEDGER_APP else None

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        if model._meta.app_label == LEDGER_APP:
            raise LearnerIsReadOnly(f"{model.__name__} rows are written by the learner's process only (R28).")
        return None

    def allow_relation(self, first: Any, second: Any, **hints: Any) -> bool:
        return (first._meta.app_label == LEDGER_APP) == (second._meta.app_label == LEDGER_APP)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return (db != PLATFORM_ALIAS) == (app_label == LEDGER_APP)
