"""What Django's log-in tells: when somebody was last seen. Each log-in writes once; no other request does."""

from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User

LOGGED_IN_AT = "logged_in_at"
"""Key of a session: the Unix time at which its person last showed who they are."""


@receiver(user_logged_in)
def remember_when(*, user: User, request: HttpRequest | None = None, **_: Any) -> None:
    user.last_seen = timezone.now()
    if request is not None and hasattr(request, "session"):
        request.session[LOGGED_IN_AT] = user.last_seen.timestamp()
    User.objects.get_queryset().filter(pk=user.pk).update(last_seen=user.last_seen)
