"""Binds the facts of a request, and gives every answer its request id."""

import ipaddress
import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from uuid_utils.compat import uuid7

from audit import context
from audit.context import Facts

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,48}")  # shorter than a token: none passes for a request id
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


class RequestFactsMiddleware:
    """Outermost of ours: whatever happens below can say from where it was asked."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        facts = facts_of(request)
        context.bind(facts)
        request.request_id = facts.request_id  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["X-Request-ID"] = facts.request_id
        context.bind(context.NOWHERE)
        return response


def facts_of(request: HttpRequest) -> Facts:
    meta = request.META
    asked = meta.get("HTTP_X_REQUEST_ID", "")
    return Facts(
        address=client_address(
            meta.get("REMOTE_ADDR", ""),
            meta.get("HTTP_X_FORWARDED_FOR", ""),
            settings.TRUSTED_PROXIES,
        ),
        user_agent=_UNPRINTABLE.sub("?", meta.get("HTTP_USER_AGENT", ""))[:300],
        request_id=asked if _REQUEST_ID.fullmatch(asked) else uuid7().hex,
    )


def client_address(peer: str, forwarded_for: str, trusted_proxies: int) -> str:
    """The address of the client behind `trusted_proxies` proxies of ours, counted from the right.

    What stands further left in X-Forwarded-For was written by the client and is not believed. With a
    shorter list than expected, or something that is no address, the peer's own address is all we know.
    """
    if trusted_proxies == 0 or not forwarded_for:
        return peer
    hops = [*(hop.strip() for hop in forwarded_for.split(",")), peer]
    if len(hops) <= trusted_proxies:
        return peer
    candidate = hops[-1 - trusted_proxies]
    try:
        address = ipaddress.ip_address(candidate)
    except ValueError:
        return peer
    if "%" in candidate:  # what follows may be any text, of any length
        return peer
    return str(getattr(address, "ipv4_mapped", None) or address)
