"""config.settings for the suite: fixed secrets, a fast hasher, no thread that writes usage behind a test."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-tests-" * 4)
os.environ.setdefault("TOKEN_PEPPERS", "test:" + "pepper-only-for-tests-" * 2)
os.environ.setdefault("FIELD_KEYS", "b25seS1mb3ItdGVzdHMtb25seS1mb3ItdGVzdHMtMDA=")
os.environ["USAGE_FLUSHER"] = "false"
os.environ["DEBUG"] = "false"
os.environ.setdefault("REQUESTS_PER_MINUTE", "1000000")
os.environ.setdefault("REFUSALS_PER_MINUTE", "1000000")
os.environ.setdefault("LEAKS_PER_MINUTE", "1000000")

from config.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
