"""HTTP for leaked tokens, the one place whose bodies hold values.

Neighbours: disclosure.py, which acts; signatures.py, which knows the scanners; throttling.py, how often.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from audit import context
from tokens import disclosure, throttling
from tokens.authentication import refuse, too_many
from tokens.disclosure import Finding
from tokens.signatures import NotSigned, require_signed

MOST_FINDINGS = 500
LONGEST_TYPE = 100
REPORT = 'Send a JSON list: [{"token": "...", "type": "...", "url": "...", "source": "..."}].'

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
        told = throttling.count_report(context.current().address, timezone.now())
        if told.is_exceeded:
            return too_many(told)
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


@_endpoint
@sensitive_variables()
def report(request: HttpRequest) -> HttpResponse:
    """From a scanner: `[{"token", "type", "url", "source"}]`, signed. A label for each, in their order."""
    key_id = request.headers.get(settings.LEAK_REPORT_KEY_HEADER, "")
    try:
        require_signed(request.body, key_id, request.headers.get(settings.LEAK_REPORT_SIGNATURE_HEADER, ""))
    except NotSigned:
        message = "The report is not signed with a key known here. Operators: see LEAK_REPORT_KEYS."
        return refuse(HTTPStatus.FORBIDDEN, "UNAUTHORIZED", message)
    sent = _json(request)
    if not isinstance(sent, list) or not all(_is_finding(one) for one in sent):
        raise Unreadable(REPORT)
    if len(sent) > MOST_FINDINGS:
        raise Unreadable(f"At most {MOST_FINDINGS} values in a report; these are {len(sent)}.")
    findings = [Finding(one["token"], one.get("url") or "", one.get("source") or "") for one in sent]
    labels = disclosure.report(key_id, findings)
    return JsonResponse([_label(*pair) for pair in zip(sent, labels, strict=True)], safe=False)


def _is_finding(one: Any) -> bool:
    """A token, and texts where there is anything beside it."""
    return (
        isinstance(one, dict)
        and isinstance(one.get("token"), str)
        and all(isinstance(one.get(name), str | None) for name in ("type", "url", "source"))
    )


@sensitive_variables()
def _label(one: dict[str, Any], is_ours: bool) -> dict[str, str]:
    digest = hashlib.sha256(one["token"].encode(errors="surrogatepass")).digest()
    return {
        "token_hash": base64.b64encode(digest).decode(),
        "token_type": disclosure.readable(one.get("type") or "", LONGEST_TYPE),
        "label": "true_positive" if is_ours else "false_positive",
    }


@sensitive_variables()
def _json(request: HttpRequest) -> Any:
    """Raises Unreadable."""
    if request.content_type != "application/json":
        raise Unreadable("Send Content-Type: application/json.")
    try:
        return json.loads(request.body.decode())
    except (ValueError, RecursionError):
        raise Unreadable("The body is not JSON.") from None
