"""HTTP for people: log-in and log-out as JSON, and the page behind an invitation's link.

The pages /login/ and /logout/ are Django's own (config/pages.py). Neighbours: services.py,
organizations/invitations.py, config/lockout.py, which answers 429 in place of whatever is said here.
"""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from accounts import services
from accounts.forms import JoinForm
from accounts.models import User
from organizations import invitations
from organizations.access import Principal
from organizations.invitations import InvitationClosed, InvitationForOthers
from organizations.models import Invite, Organization

PASSWORDS = "django.contrib.auth.backends.ModelBackend"
LONGEST_NAME = 254
LONGEST_PASSWORD = 4_096
MISMATCH = "E-mail address and password do not match. Check both; passwords are case-sensitive."


class Refused(Exception):
    """Answered as JSON, in the shape of every refusal before GraphQL."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        self.status, self.code = status, code
        super().__init__(message)

    def response(self) -> JsonResponse:
        message = str(self)
        errors = [{"message": message, "extensions": {"code": self.code}}]
        return JsonResponse({"success": False, "error": message, "errors": errors}, status=self.status)


@method_decorator([csrf_exempt, never_cache], name="dispatch")
class JSONView(View):
    """POST with a JSON body, which no other site's form can send; a script's Origin must be ours."""

    http_method_names = ("post",)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            _require_own_script(request)
            response: HttpResponse = super().dispatch(request, *args, **kwargs)  # type: ignore[assignment]
        except Refused as refusal:
            response = refusal.response()
            if refusal.status == HTTPStatus.METHOD_NOT_ALLOWED:
                response["Allow"] = "POST"
        return response


class LogIn(JSONView):
    """`{"username" or "email", "password"}` -> `{"success": true, "user": {"id", "email"}}` and a session."""

    @sensitive_variables()
    def post(self, request: HttpRequest) -> HttpResponse:
        name, password = _credentials(request)
        user = authenticate(request, username=name, password=password)
        if not isinstance(user, User):
            raise Refused(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED", MISMATCH)
        login(request, user)
        return JsonResponse({"success": True, "user": {"id": str(user.pk), "email": user.email}})


class LogOut(JSONView):
    """Ends the session, if there is one: `{"success": true}`."""

    def post(self, request: HttpRequest) -> HttpResponse:
        logout(request)
        return JsonResponse({"success": True})


def _require_own_script(request: HttpRequest) -> None:
    """Raises Refused."""
    if request.method != "POST":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "BAD_REQUEST", "Send a POST request.")
    if request.content_type != "application/json":
        message = "Send Content-Type: application/json."
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "BAD_REQUEST", message)
    origin = request.META.get("HTTP_ORIGIN")
    own = f"{request.scheme}://{request.get_host()}"
    if origin is not None and origin != own and not _is_trusted(origin):
        message = "This page's origin may not log anybody in or out. Operators: see CSRF_TRUSTED_ORIGINS."
        raise Refused(HTTPStatus.FORBIDDEN, "BAD_REQUEST", message)


def _is_trusted(origin: str) -> bool:
    """Among CSRF_TRUSTED_ORIGINS, of which `https://*.example.org` names every host below."""
    sent = urlsplit(origin)
    for trusted in map(urlsplit, settings.CSRF_TRUSTED_ORIGINS):
        below = trusted.netloc.startswith("*.") and sent.netloc.endswith(trusted.netloc[1:])
        if trusted.scheme == sent.scheme and (below or trusted.netloc == sent.netloc):
            return True
    return False


@sensitive_variables()
def _credentials(request: HttpRequest) -> tuple[str, str]:
    """Name and password. Raises Refused."""
    try:
        sent = json.loads(request.body.decode())
        name, password = sent.get("username") or sent.get("email"), sent.get("password")
        is_text = all(one.encode() and "\0" not in one for one in (name, password))
    except (ValueError, AttributeError, RecursionError):  # no JSON, no object, no texts, lone surrogates
        is_text = False
    if not is_text or len(name) > LONGEST_NAME or len(password) > LONGEST_PASSWORD:
        message = 'Send a JSON object: {"username": "...", "password": "..."}.'
        raise Refused(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", message)
    return name, password


# --- the page behind an invitation's link --------------------------------------------------------------

GONE = "There is no such invitation. It was withdrawn, or sent anew: look for a later mail."
SIMULTANEOUS = "Somebody did the same at this moment. Open the link again."


@method_decorator([never_cache, sensitive_post_parameters("password", "password_again")], name="dispatch")
class Invitation(View):
    """GET shows what is offered, and to whom; POST accepts it, in a session or with a new account."""

    http_method_names = ("get", "head", "post")

    @sensitive_variables("secret")
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        secret: str = kwargs["secret"]
        try:
            self.invite = invitations.opened(secret)
            response: HttpResponse = super().dispatch(request, secret)  # type: ignore[assignment]
        except (Invite.DoesNotExist, Organization.DoesNotExist):
            response = _told(request, HTTPStatus.NOT_FOUND, GONE)
        except InvitationClosed as closed:
            response = _told(request, HTTPStatus.GONE, str(closed.message))
        except PermissionDenied as denied:
            response = _told(request, HTTPStatus.FORBIDDEN, str(denied))
        except IntegrityError:
            response = _told(request, HTTPStatus.CONFLICT, SIMULTANEOUS)
        response["X-Robots-Tag"] = "noindex"
        return response

    @sensitive_variables("secret")
    def get(self, request: HttpRequest, secret: str) -> HttpResponse:
        self._require_addressee(request)
        return self._page(request, None if self._is_known(request) else JoinForm())

    @sensitive_variables("secret")
    def post(self, request: HttpRequest, secret: str) -> HttpResponse:
        self._require_addressee(request)
        principal: Principal = request.principal  # type: ignore[attr-defined]
        if not principal.is_authenticated:
            return self._join_anew(request, secret)
        try:
            invitations.accept(principal, secret)
        except InvitationClosed:
            raise
        except ValidationError as fault:
            return _told(request, HTTPStatus.CONFLICT, " ".join(fault.messages))
        return redirect("/")

    @sensitive_variables()
    def _join_anew(self, request: HttpRequest, secret: str) -> HttpResponse:
        if self._is_known(request):
            return self._page(request, None, HTTPStatus.CONFLICT)
        form = JoinForm(request.POST)
        if not form.is_valid():
            return self._page(request, form, HTTPStatus.BAD_REQUEST)
        try:
            user = services.accept_as_new_person(secret, **form.account())
        except InvitationClosed:
            raise
        except ValidationError as fault:
            form.add_refusal(fault)
            return self._page(request, form, HTTPStatus.BAD_REQUEST)
        login(request, user, backend=PASSWORDS)
        return redirect("/")

    def _require_addressee(self, request: HttpRequest) -> None:
        """Raises InvitationForOthers for somebody who is logged in under another address, and for a token."""
        principal: Principal = request.principal  # type: ignore[attr-defined]
        if principal.token is not None:
            raise PermissionDenied("No token can accept an invitation. Log in.")
        if principal.user is not None and principal.user.email != self.invite.recipient:
            raise InvitationForOthers(
                f"This invitation is for another e-mail address than {principal.user.email}. Log out first."
            )

    def _is_known(self, request: HttpRequest) -> bool:
        """Whether the address has an account, so that there is none to make."""
        return User.objects.get_queryset().filter(email=self.invite.recipient).exists()

    def _page(
        self, request: HttpRequest, form: JoinForm | None, status: HTTPStatus = HTTPStatus.OK
    ) -> HttpResponse:
        inviter = invitations.inviter_of(self.invite)
        shown = {"invite": self.invite, "inviter": inviter, "form": form}
        return render(request, "invitations/invitation.html", shown, status=status)


def _told(request: HttpRequest, status: HTTPStatus, message: str) -> HttpResponse:
    return render(request, "invitations/refused.html", {"message": message}, status=status)
