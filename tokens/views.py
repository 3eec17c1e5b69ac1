"""HTTP for leaked tokens, the one place whose bodies hold values. Neighbour: disclosure.py, which acts.

Limits of requests per address belong into `_endpoint`, before the view is called.
"""

import json
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from tokens import disclosure
from tokens.authentication import refuse

View = Callable[[HttpRequest], HttpResponse]


class Unreadable(Exception):
    """A body that cannot be meant. The message never quotes it."""


def _endpoint(view: View) -> View:
    """POST, from whomever: no session counts here, and so no CSRF token does."""

    @csrf_exempt
    @never_cache
    @sensitive_post_parameters()
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            response = refuse(HTTPStatus.METHOD_NOT_ALLOWED, "BAD_REQUEST", "Send a POST request.")
            response["Allow"] = "POST"
            return response
        try:
            return view(request)
        except Unreadable as fault:
            return refuse(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", str(fault))

    return answer


@_endpoint
@sensitive_variables()
def revoke(request: HttpRequest) -> HttpResponse:
    """RFC 7009: a form `token=...` or `{"token": "..."}`. `{}`, whatever the value was worth."""
    sent = request.POST if request.content_type == "application/x-www-form-urlencoded" else _json(request)
    value = sent.get("token") if hasattr(sent, "get") else None
    if not isinstance(value, str) or not value:
        raise Unreadable('Send token=... as a form, or a JSON object: {"token": "..."}.')
    disclosure.surrender(value)
    return JsonResponse({})


@sensitive_variables()
def _json(request: HttpRequest) -> Any:
    """Raises Unreadable."""
    if request.content_type != "application/json":
        raise Unreadable("Send Content-Type: application/json.")
    try:
        return json.loads(request.body.decode())
    except (ValueError, RecursionError):
        raise Unreadable("The body is not JSON.") from None
