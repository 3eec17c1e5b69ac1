"""For platforms that speak ASGI only; WSGI is measured to be cheaper (docs/architecture.md)."""

import os

from django.core.asgi import get_asgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_asgi_application()

# Now rather than at the first request: a schema that is not closed must not start.
get_resolver().url_patterns  # noqa: B018
