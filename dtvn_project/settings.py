"""Settings, all from the environment (see `environment.py` and docs/operate/configuration.md)."""

import os

from validators.data_folder import environment
from validators.data_folder.addresses import check_addresses
from validators.data_folder.judging import events_config

BASE_DIR = environment.REPOSITORY
DATA = environment.data_folder()

SECRET_KEY = environment.read_secret_key(DATA)
DEBUG = os.environ.get("DTVN_DEBUG") == "1"
KNOWN_HOSTS = environment.allowed_hosts()
SUPERVISOR = os.environ.get("DTVN_SUPERVISOR") == "1"
"""True for `manage.py supervisor`: the Go DTVN's conventions, and a cluster that may be replaced."""
API_IS_OPEN = SUPERVISOR and not environment.api_key()
"""Without a key the API is open to every caller except pages of other sites (X41)."""
ALLOWED_HOSTS = ["*"] if SUPERVISOR and not API_IS_OPEN else KNOWN_HOSTS
"""With a key, any Host is safe: a page that points its own name at this machine (DNS rebinding) has neither
the key nor our cookies."""

NODE_PORTS = environment.node_ports()
EVENTS_CONFIG = events_config()
"""How events are judged; None: as the number of members allows."""

FOLLOWS = environment.following(DATA)
"""How this follower was started (dtvn.node.following), if this is one (manage.py follow); else None."""

INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "django_prometheus",
    "validators",
    "validators.ledger",
    "validators.sessions",
    "tickets",
    "events",
    "simulator.web",
]

FOLLOWER_ONLY_SHOWS = "validators.rest.follower.FollowerOnlyShows"

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "validators.web.request_lines.RequestLines",
    "django.middleware.security.SecurityMiddleware",
    "validators.web.middleware.ServedFiles",
    "validators.web.middleware.ContentSecurityPolicy",
    "validators.rest.health.HealthAtAnyName",
    "validators.web.middleware.Sessions",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "validators.web.middleware.Users",
    "django_otp.middleware.OTPMiddleware",
    "validators.dashboard.second_factor.SecondFactorNeeded",
    "validators.web.middleware.Messages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "validators.dashboard.login.RefusedLogins",
    "validators.web.middleware.RequestFigures",
]

if FOLLOWS is not None:
    MIDDLEWARE.insert(MIDDLEWARE.index("validators.rest.health.HealthAtAnyName"), FOLLOWER_ONLY_SHOWS)

ROOT_URLCONF = "dtvn_project.urls"
ASGI_APPLICATION = "dtvn_project.asgi.application"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "validators.dashboard.context.state_of_cluster",
                "validators.dashboard.context.access",
                "validators.dashboard.context.words",
                "validators.dashboard.context.index_of_admin",
            ],
        },
    },
]

check_addresses(os.environ)
DATABASES = environment.databases(DATA)
DATABASE_ROUTERS = ["validators.data_folder.routers.LedgerRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# No channel layer: each web process reads what it shows from rows (validators.dashboard.live). With one, a
# Redis that is away would end each WebSocket that waits on it.
CHANNEL_LAYERS: dict[str, object] = {}

# Node tasks never end, so they are acknowledged at their start: with late acknowledgement, a running node is
# delivered to a second worker when the visibility timeout expires (measured with Redis).
CELERY_BROKER_URL, CELERY_BROKER_TRANSPORT_OPTIONS = environment.broker(DATA)
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# The broker's troubles never end a worker, for its nodes end with it.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True  # those acknowledged late: no node is
# Remote control commands stay in the file broker after their sender is gone: a worker executed a `shutdown`
# that was 14 s old. Nodes are stopped through the database and signals, never through the broker.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False

AUTHENTICATION_BACKENDS = [
    "validators.services.login.PlatformBackend",
    "validators.services.teams.TeamBackend",
]
PASSWORD_HASHERS = ["validators.services.hashing.PooledPasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
EVENT_TIME_ZONE = environment.event_time_zone()
"""Time zone of times without an offset in ticket files, for events without a time zone of their own."""
USE_I18N = False
FORMAT_MODULE_PATH = "dtvn_project"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "validators.web.static_files.CompressedOnceManifestStorage"},
}
if STATIC_DIRECTORY := os.environ.get("DTVN_STATIC_DIR"):
    # The Go DTVN's own front end, unchanged: its files at the root, its index instead of our page.
    WHITENOISE_ROOT = STATIC_DIRECTORY
    WHITENOISE_INDEX_FILE = True
WHITENOISE_ALLOW_ALL_ORIGINS = False  # a supervisor sends no CORS headers
WHITENOISE_MIMETYPES = {".mjs": "text/javascript", ".wasm": "application/wasm"}

SECOND_FACTOR = os.environ.get("DTVN_SECOND_FACTOR") == "1"
"""Whether every user needs a second factor (validators.dashboard.second_factor)."""
OTP_TOTP_ISSUER = "DTVN"
SESSION_ENGINE = "validators.sessions.store"
SESSION_COOKIE_AGE = environment.session_idle()
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = environment.cookie_name("sessionid", SECRET_KEY)
CSRF_COOKIE_NAME = environment.cookie_name("csrftoken", SECRET_KEY)
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
DEVICE_COOKIE_NAME = environment.cookie_name("device", SECRET_KEY)
"""Of a device on which somebody has logged in: guesses of others do not lock it out (services.login)."""
X_FRAME_OPTIONS = "DENY"
BEHIND_PROXY = os.environ.get("DTVN_HTTPS") == "1"
"""Whether a proxy sets X-Forwarded-Proto and X-Forwarded-For, and users connect over TLS only."""
if BEHIND_PROXY:
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 30 * 24 * 3600
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains, and
    "security.W021",  # its preload list: other hosts of the domain are the operator's to decide about
    "security.W008",  # redirect to TLS: the proxy does; programs on this machine use plain HTTP on loopback
]

DATA_UPLOAD_MAX_MEMORY_SIZE = FILE_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
"""Bytes of a form without its files, which take 80 times as much while they are parsed. The API reads its
bodies by itself."""

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
}

PROMETHEUS_EXPORT_MIGRATIONS = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "expected": {"()": "validators.data_folder.environment.ExpectedAnswers"},
        "limit": {"()": "dtvn.log_limit.shared"},
        "left": {"()": "validators.data_folder.environment.ClientsThatLeft"},
    },
    "formatters": {
        "text": {"format": "%(levelname)s %(name)s: %(message)s"},
        "json": {"()": "dtvn.node.json_lines.JsonLines"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": environment.log_format(),
            "filters": ["limit"],
        },
    },
    "root": {"handlers": ["console"], "level": os.environ.get("DTVN_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"filters": ["expected"]},
        "asyncio": {"filters": ["left"]},
        # These requests get their 400 but no line in the log, which their tracebacks could otherwise flood.
        **{
            f"django.security.{refused}": {"level": "CRITICAL"}
            for refused in (
                "DisallowedHost",
                "DisallowedModelAdminLookup",
                "DisallowedModelAdminToField",
                "RequestDataTooBig",
                "TooManyFieldsSent",
                "TooManyFilesSent",
            )
        },
        "httpx": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "daphne.http_protocol": {"level": "ERROR"},
        "django.channels.server": {"level": "WARNING"},
    },
}
