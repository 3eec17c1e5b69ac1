"""How django-axes counts failed log-ins here: by name and address together, keeping nothing that was typed.

Whoever guesses at somebody else's password locks the guesser's address out of that name, not its owner.
Names are kept as digests, because what is typed into a name field is now and then a password or a token.
Neighbours: settings.py (limits), audit/receivers.py (the failures as events).
"""

import unicodedata
from datetime import timedelta
from typing import Any

from axes.backends import AxesStandaloneBackend
from axes.models import AccessAttempt
from django.conf import settings
from django.db import models
from django.db.models.signals import pre_save
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.crypto import salted_hmac

from audit import context
from config.refusals import wants_page
from tokens import networks
from tokens.authentication import refuse


class LockoutBackend(AxesStandaloneBackend):  # type: ignore[misc]  # axes is untyped
    """Bars whoever failed too often. Logs nobody in; without a request or a name there is nothing to bar."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **credentials: Any,
    ) -> None:
        """Raises PermissionDenied."""
        if request is not None and username is not None:
            super().authenticate(request, username, password, **credentials)


def who(request: HttpRequest, credentials: dict[str, Any] | None) -> str | None:
    """The name under which a failure is counted: a keyed digest of what was typed."""
    name = (credentials or {}).get("username")
    if name is None:
        return None
    folded = unicodedata.normalize("NFKC", str(name)).lower()
    return salted_hmac("config.lockout", folded, algorithm="sha256").hexdigest()


def whence(request: HttpRequest) -> str | None:
    """The address under which a failure is counted. Of IPv6 the site: one host has all of its addresses."""
    return networks.host_of(context.current().address)


def locked_out(
    request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any] | None
) -> HttpResponse:
    """429, with the time to wait. The same for names that exist and those that do not."""
    seconds = _seconds_left(request, credentials)
    message = f"Too many failed log-ins. Try again in {-(-seconds // 60)} minutes."
    if wants_page(request):
        page = render_to_string("refusal.html", {"message": message}, request)
        answer = HttpResponse(page, status=429)
    else:
        answer = refuse(429, "RATE_LIMITED", message)
    answer["Retry-After"] = str(seconds)
    answer["Cache-Control"] = "no-store"
    return answer


def _seconds_left(request: HttpRequest, credentials: dict[str, Any] | None) -> int:
    attempts = AccessAttempt.objects.filter(username=who(request, credentials), ip_address=whence(request))
    last = attempts.aggregate(last=models.Max("attempt_time"))["last"] or timezone.now()
    wait: timedelta = last + settings.AXES_COOLOFF_TIME - timezone.now()
    return max(1, -(-wait // timedelta(seconds=1)))


@receiver(pre_save, sender=AccessAttempt)
def keep_nothing_typed(*, instance: AccessAttempt, **_: Any) -> None:
    """Axes would store the form and the query string."""
    instance.get_data = instance.post_data = ""
