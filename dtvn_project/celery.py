"""The Celery application: `celery -A dtvn_project.celery worker -Q nodes`."""

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

TRANSPORT_ALIASES["filesystem"] = "dtvn_project.file_broker:Transport"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtvn_project.settings")

app = Celery("dtvn")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
