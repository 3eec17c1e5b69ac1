"""The pages for people in a browser: GraphiQL, and the ways in and out.

The scripts and styles are files of ours (config/static); the policy sent along lets no other run.
Neighbours: refusals.py (what a browser is), templates/, urls.py.
"""

import functools
from collections.abc import Callable
from typing import Any, cast

from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.refusals import wants_page

View = Callable[..., HttpResponseBase]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data:; font-src data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def under_policy(view: View, styles: str = "") -> View:
    @functools.wraps(view)
    def guarded(*args: object, **kwargs: object) -> HttpResponseBase:
        response = view(*args, **kwargs)
        response["Content-Security-Policy"] = POLICY.format(styles=styles)
        return response

    return guarded


# GraphiQL's dialogs bring a style element of their own, which only 'unsafe-inline' allows.
@functools.partial(under_policy, styles=" 'unsafe-inline'")
@require_safe
@never_cache
def graphiql(request: HttpRequest) -> HttpResponse:
    """The console. Open to everybody: what it may ask is decided by the token or the session it sends."""
    return render(request, "graphql/graphiql.html")


def in_browsers(view: View) -> View:
    """At the API's own address: a browser that asks for a page gets GraphiQL, everything else the API."""

    @functools.wraps(view)
    def either(request: HttpRequest) -> HttpResponseBase:
        is_page = request.method in ("GET", "HEAD") and wants_page(request)
        response = graphiql(request) if is_page else view(request)
        patch_vary_headers(response, ["Accept"])
        return response

    return either


@method_decorator(cast(Any, under_policy), name="dispatch")
class Login(LoginView):
    """Refuses a wrong password and an unknown person with the same words and the same work."""


@method_decorator(cast(Any, under_policy), name="dispatch")
class Logout(LogoutView):
    """By POST only."""
