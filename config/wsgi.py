"""What the production server loads: `granian --interface wsgi config.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

# Now rather than at the first request: a schema that is not closed must not start.
get_resolver().url_patterns  # noqa: B018
