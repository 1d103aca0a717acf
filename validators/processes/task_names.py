"""Names of the Celery tasks that are a node: who sends them, and who runs them, must agree on these."""

from __future__ import annotations

RUN_VALIDATOR = "validators.tasks.run_validator"
FOLLOW_CLUSTER = "validators.tasks.follow_cluster"
