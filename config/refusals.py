"""What goes wrong outside GraphQL, told in the shape of the contract: JSON for programs, a page for browsers.

Neighbours: tokens/authentication.py, whose `refuse` is that shape; config/graphql/errors.py, which does the
same inside GraphQL; urls.py and settings.CSRF_FAILURE_VIEW, which name these handlers.
"""

import sys

from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers

from audit import context
from tokens.authentication import refuse

RETRY_AFTER_SECONDS = 5
UNREACHABLE = (OperationalError, InterfaceError)


def wants_page(request: HttpRequest) -> bool:
    """Whether HTML is preferred to JSON: browsers say so, curl's */* does not."""
    return request.get_preferred_type(["application/json", "text/html"]) == "text/html"


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        message = "This server does not answer to that host name. Operators: see ALLOWED_HOSTS."
    else:
        message = "The request could not be understood. Check its form and its size."
    return _told(request, 400, "BAD_REQUEST", message)


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _told(request, 403, "UNAUTHORIZED", "You may not do this. Ask an administrator.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    message = "The CSRF token is missing or wrong. Load the page again. A bearer token needs none."
    return _told(request, 403, "BAD_REQUEST", message)


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _told(request, 404, "NOT_FOUND", "There is nothing here. The API is POST /query.")


def server_error(request: HttpRequest) -> HttpResponse:
    """503 when the database is what failed, else 500 with the id under which the log has it."""
    if isinstance(sys.exception(), UNREACHABLE):
        response = _told(request, 503, "UNAVAILABLE", "The database does not answer. Try again shortly.")
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
    request_id = context.current().request_id
    message = f"Something went wrong on our side. Give this request id to the operator: {request_id}"
    return _told(request, 500, "INTERNAL_SERVER_ERROR", message)


def _told(request: HttpRequest, status: int, code: str, message: str) -> HttpResponse:
    if wants_page(request):
        # A page about a failure must not fail itself: no request context, no static file.
        template = "failure.html" if status >= 500 else "refusal.html"
        response = HttpResponse(render_to_string(template, {"message": message}), status=status)
    else:
        response = refuse(status, code, message)
    patch_vary_headers(response, ["Accept"])
    return response
