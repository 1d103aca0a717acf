"""The project's settings over a data folder that lives as long as this test process."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_run = os.environ.get("DTVN_TESTS_FOLDER")
_folder = tempfile.mkdtemp(prefix="" if _run else "dtvn-tests-", dir=_run)
os.environ["DTVN_TESTS_FOLDER"] = _folder  # xdist's workers have theirs in it, and may be killed
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
(Path(_folder) / "static").mkdir()
os.environ["DTVN_DATA"] = _folder
for _name in ("DATABASE_URL", "CELERY_BROKER_URL", "DTVN_HOST", "PORT"):
    os.environ.pop(_name, None)

from dtvn_project.settings import *  # noqa: E402, F403
from validators.data_folder import environment  # noqa: E402

# Tests make the learner's tables and rows themselves.
DATABASES["learner"] = environment.platform_sqlite(Path(_folder) / "learner.sqlite3")  # noqa: F405
# Files, as in the product: of a database in memory no thread waits for another's lock, it fails at once.
for _alias, _database in DATABASES.items():  # noqa: F405
    _database["TEST"] = {"NAME": str(Path(_folder) / f"test-{_alias}.sqlite3")}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
