"""What an orchestrator asks: does the process live, may it be sent requests? Neighbour: urls.py."""

import functools

from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.refusals import RETRY_AFTER_SECONDS
from tokens.authentication import refuse


@require_safe
@never_cache
def livez(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers. Asks nothing of the database: restarting would not mend it."""
    return HttpResponse("ok", content_type="text/plain")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when the database answers and has every migration of this code, else 503."""
    try:
        missing = migrations_of_this_code() - MigrationRecorder(connection).applied_migrations().keys()
    except Error:
        return _not_ready("The database does not answer.")
    if missing:
        number = "1 migration is" if len(missing) == 1 else f"{len(missing)} migrations are"
        return _not_ready(f"{number} not applied. Run manage.py migrate.")
    return HttpResponse("ok", content_type="text/plain")


@functools.cache
def migrations_of_this_code() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).disk_migrations)


def _not_ready(message: str) -> HttpResponse:
    response = refuse(503, "UNAVAILABLE", message)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
