"""Every setting of the service, in reading order. Values come from the environment (or a `.env` file);
`NAME_FILE` names a file that holds the value of `NAME`, for secrets. docs/operations.md explains each.
"""

from datetime import timedelta
from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.FileAwareEnv()
environ.Env.read_env(BASE_DIR / ".env")

# --- the process ---------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# How many proxies of ours stand in front; only so many entries of X-Forwarded-For are believed.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
# Where people reach this service: what links in mails begin with.
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://127.0.0.1:{env.int('PORT', default=8000)}").rstrip("/")
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- tokens ----------------------------------------------------------------------------------------
# A ring "id:secret,id:secret": the first signs, all verify. Never SECRET_KEY, so that each can rotate alone.
TOKEN_PEPPERS: dict[str, bytes] = {
    key_id: pepper.encode()
    for key_id, _, pepper in (entry.partition(":") for entry in env.list("TOKEN_PEPPERS"))
}
# How often: requests of one token; from one address refused credentials, and calls to the two endpoints
# for leaked tokens. Without Redis each worker counts.
REQUESTS_PER_MINUTE = env.int("REQUESTS_PER_MINUTE", default=1_200)
REFUSALS_PER_MINUTE = env.int("REFUSALS_PER_MINUTE", default=60)
LEAKS_PER_MINUTE = env.int("LEAKS_PER_MINUTE", default=120)
REDIS_URL = env.str("REDIS_URL", default="")
USAGE_FLUSHER = env.bool("USAGE_FLUSHER", default=True)
USAGE_BUFFER_KEYS = env.int("USAGE_BUFFER_KEYS", default=50_000)
USAGE_RETENTION_DAYS = env.int("USAGE_RETENTION_DAYS", default=400)
# Where a process that ends while the database is away leaves the uses it could not write.
USAGE_SPOOL_DIR = Path(env.str("USAGE_SPOOL_DIR", default=str(VAR_DIR / "usage")))

# --- reports of leaked tokens ------------------------------------------------------------------------
# "id:key,id:key", public ECDSA keys on P-256: what stands between the lines of a PEM file, in one line.
LEAK_REPORT_KEYS: dict[str, str] = {
    key_id: key
    for key_id, _, key in (entry.partition(":") for entry in env.list("LEAK_REPORT_KEYS", default=[]))
}
LEAK_REPORT_KEY_HEADER = env.str("LEAK_REPORT_KEY_HEADER", default="Github-Public-Key-Identifier")
LEAK_REPORT_SIGNATURE_HEADER = env.str("LEAK_REPORT_SIGNATURE_HEADER", default="Github-Public-Key-Signature")

# --- other secrets at rest --------------------------------------------------------------------------
# Fernet keys (32 bytes, URL-safe base64), a ring of their own: the first encrypts, all decrypt.
FIELD_KEYS: list[str] = env.list("FIELD_KEYS", default=[])

# --- apps ------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "tokens",
    "audit",
    "accounts",
    "organizations",
    "strawberry_django",
    "axes",
    "config.apps.OperatorsConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "audit.middleware.RequestFactsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tokens.authentication.PrincipalMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

# --- databases -------------------------------------------------------------------------------------
# DATABASE_URL=postgres://user:password@host:5432/name; without it an SQLite file under var/.
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'tollgate.sqlite3'}")}
_default = DATABASES["default"]
if _default["ENGINE"] == "django.db.backends.sqlite3":
    _default["CONN_MAX_AGE"] = None  # opening the file costs more than a query
    _default["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }
else:
    _default["OPTIONS"] = {
        "pool": {
            "min_size": 1,
            "max_size": env.int("DATABASE_POOL", default=4),
            "timeout": 2,
            # Or else the pool waits ever longer between attempts, and the service long outlives an outage.
            "reconnect_timeout": 1,
        },
        "connect_timeout": 2,
        # Prepared on the server, which then plans the authentication SELECT once per connection. A pooler in
        # transaction mode must know the protocol's prepared statements, or this must be false.
        "server_side_binding": env.bool("DATABASE_PREPARED", default=True),
        "prepare_threshold": 5 if env.bool("DATABASE_PREPARED", default=True) else None,
        "options": "-c statement_timeout=5s -c lock_timeout=2s",
    }
_default["TEST"] = {"NAME": env.str("TEST_DATABASE_NAME", default=None)}

# --- people ----------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "config.lockout.LockoutBackend",
    "django.contrib.auth.backends.ModelBackend",
    "tokens.authentication.TokenBackend",
]
PASSWORD_HASHERS = ["accounts.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# After so many failures a name is locked for the address they came from, and no other (config/lockout.py).
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURES", default=5)
AXES_COOLOFF_TIME = timedelta(minutes=env.int("LOGIN_LOCKOUT_MINUTES", default=15))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_FORM_FIELD = "username"
AXES_USERNAME_CALLABLE = "config.lockout.who"
AXES_CLIENT_IP_CALLABLE = "config.lockout.whence"
AXES_LOCKOUT_CALLABLE = "config.lockout.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True  # the audit trail has them
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
# A session older than this asks for the password again before it gives administrative rights to a token.
STEP_UP_MINUTES = env.int("STEP_UP_MINUTES", default=60)
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"

# --- invitations and mail --------------------------------------------------------------------------
INVITATION_DAYS = env.int("INVITATION_DAYS", default=7)
# EMAIL_URL=smtp+tls://user:password@host:587; without it, mails are printed on standard output.
_mail = env.email_url("EMAIL_URL", default="consolemail://")
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST = _mail["EMAIL_HOST"] or "localhost"
EMAIL_PORT = _mail["EMAIL_PORT"] or (587 if _mail.get("EMAIL_USE_TLS") else 25)
EMAIL_HOST_USER = _mail["EMAIL_HOST_USER"] or ""
EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_FILE_PATH = _mail["EMAIL_FILE_PATH"] or None
EMAIL_USE_TLS = _mail.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Tollgate <tollgate@localhost>")

# --- HTTP hardening --------------------------------------------------------------------------------
# HTTPS=true once TLS ends in front of this service: secure cookies, HSTS, redirect.
HTTPS = env.bool("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = ["^livez$", "^readyz$"]  # load balancers ask over plain HTTP
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "config.refusals.csrf_failure"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
GRAPHQL_BODY_BYTES = 262_144
GRAPHQL_UPLOAD_BYTES = 2_097_152

# --- pages and static files ------------------------------------------------------------------------
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
            ]
        },
    }
]
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "config" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- language and time -----------------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = ["config.formats"]

# --- logs ------------------------------------------------------------------------------------------
DEFAULT_EXCEPTION_REPORTER = "tokens.redaction.TokenReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "tokens.redaction.TokenReporterFilter"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "tokens.redaction.RedactTokens"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "filters": ["redact"], "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        # Refusals are answers, not incidents: a flood of junk tokens must not become a flood of log lines.
        "django.request": {"level": "ERROR"},
        "axes": {"level": "ERROR"},
    },
}
