"""What the apps below announce, and Django's own log-in signals, as events."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver

from audit.actions import Action
from audit.services import record
from organizations.access import ANONYMOUS, Kind, Principal
from organizations.signals import happened


@receiver(happened)
def record_announcement(*, principal: Principal, action: str, **announced: Any) -> None:
    record(
        principal,
        Action(action),
        announced["target"],
        organization_id=announced["organization_id"],
        subject_id=announced["subject_id"],
        changes=announced["changes"],
    )


@receiver(user_logged_in)
def record_login(*, user: AbstractBaseUser, **_: Any) -> None:
    record(_person(user), Action.USER_LOGGED_IN, user, subject_id=user.pk)


@receiver(user_logged_out)
def record_logout(*, user: AbstractBaseUser | None, **_: Any) -> None:
    if user is not None:
        record(_person(user), Action.USER_LOGGED_OUT, user, subject_id=user.pk)


@receiver(user_login_failed)
def record_failed_login(*, credentials: dict[str, Any], **_: Any) -> None:
    """Names only people we know: what else is typed into a name field is now and then a password."""
    typed = credentials.get("username") or credentials.get("email") or ""
    user = get_user_model().objects.filter(email=typed.lower()).first() if typed else None
    record(ANONYMOUS, Action.USER_LOGIN_FAILED, user, subject_id=user.pk if user else None)


def _person(user: AbstractBaseUser) -> Principal:
    return Principal(Kind.SESSION, id=str(user.pk), label=str(user), user=user)
