"""What Django's log-in tells: when somebody was last seen. Each log-in writes once; no other request does."""

from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.utils import timezone

from accounts.models import User


@receiver(user_logged_in)
def remember_when(*, user: User, **_: Any) -> None:
    user.last_seen = timezone.now()
    User.objects.get_queryset().filter(pk=user.pk).update(last_seen=user.last_seen)
