"""Names of the Celery tasks that are a node: senders and workers must agree on these."""

from __future__ import annotations

RUN_VALIDATOR = "validators.tasks.run_validator"
FOLLOW_CLUSTER = "validators.tasks.follow_cluster"
