"""What operators do to people, and people to themselves. Each service is the only path to its fact.

Nobody holds `admin` over people as such: accounts are global, so only trusted principals pass that door.
Neighbours: organizations/services.py (membership), audit (which listens).
"""

from collections.abc import Collection, Mapping
from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from accounts.models import User, UserSetting, UserStatus
from organizations import invitations
from organizations.access import Kind, Principal, Unauthorized, require, require_person, writing
from organizations.changes import announce, require_known, rewrite
from organizations.membership import lock_members
from organizations.models import Organization

MANAGE = "admin"
OWN = "write"
"""What a token needs to change its owner's own profile: no scope is about people."""
STANDING = frozenset({"is_staff", "is_superuser", "user_permissions"})
"""What lets somebody into the admin, and decides what they may do there."""


def create_user(principal: Principal, *, email: str, password: str, **fields: Any) -> User:
    """A person who can log in. `fields`: names, is_staff, is_superuser. Raises as update_user()."""
    require(principal, MANAGE, None)
    _require_authority(principal, gives_standing=any(fields.get(name) for name in STANDING))
    _require_good_password(password, User(email=email, **fields))
    fields |= {"created_by": principal.id, "updated_by": principal.id}
    with writing(principal):
        user = User.objects.create_user(email, password, **fields)
        announce(
            principal, "user.created", user, None, is_staff=user.is_staff, is_superuser=user.is_superuser
        )
    return user


def update_user(principal: Principal, user: User, changes: Mapping[str, Any]) -> User:
    """Keys: email, names, tags, is_staff, is_superuser, user_permissions (Permission rows).

    Raises ValidationError, Unauthorized for what only a superuser may change.
    """
    require(principal, MANAGE, None)
    _require_authority(principal, user, gives_standing=bool(STANDING & changes.keys()))
    if _is_oneself(principal, user) and any(changes.get(name) is False for name in STANDING):
        raise ValidationError("You cannot shut yourself out. Ask another superuser.", code="oneself")
    changes = dict(changes)
    permissions = changes.pop("user_permissions", None)
    with writing(principal):
        user = _locked(user)
        difference = rewrite(principal, user, changes)
        if permissions is not None:
            difference |= _permit(user, permissions)
        if difference:
            announce(principal, "user.updated", user, None, **difference)
    return user


def set_password(principal: Principal, user: User, password: str) -> User:
    """A new password; every session under the old one ends. Raises ValidationError, Unauthorized."""
    require(principal, MANAGE, None)
    _require_authority(principal, user)
    _require_good_password(password, user)
    with writing(principal):
        user.set_password(password)
        user.updated_by = principal.id
        user.save(update_fields=["password", "updated_by", "updated_at"])
        announce(principal, "user.updated", user, None, password="replaced")  # noqa: S106 (says that, not what)
    return user


def deactivate(principal: Principal, user: User) -> User:
    """Sessions and personal tokens stop at the next request. Raises ValidationError for oneself."""
    if _is_oneself(principal, user):
        raise ValidationError({"is_active": "You cannot deactivate yourself. Ask another operator."})
    return _switch(principal, user, is_active=False)


def reactivate(principal: Principal, user: User) -> User:
    """They can log in again, and their unexpired, unrevoked tokens work again."""
    return _switch(principal, user, is_active=True)


def update_own_profile(principal: Principal, user: User, changes: Mapping[str, Any]) -> User:
    """Keys: first_name, last_name, display_name, tags. E-mail and standing are an operator's to change.

    Raises ValidationError, Unauthorized for somebody else than oneself.
    """
    if require_person(principal, OWN) != user.pk:
        raise Unauthorized("Only they themselves change their profile. Ask an operator for the rest.")
    require_known(changes, {"first_name", "last_name", "display_name", "tags"})
    with writing(principal):
        user = _locked(user)
        difference = rewrite(principal, user, changes)
        if difference:
            announce(principal, "user.updated", user, None, subject_id=user.pk, **difference)
    return user


def update_own_setting(principal: Principal, setting: UserSetting, changes: Mapping[str, Any]) -> UserSetting:
    """Keys: default_org_id (one of one's organizations, or None), tags. The rest is the server's.

    Raises ValidationError, Unauthorized for somebody else's, Organization.DoesNotExist for a foreign one.
    """
    if require_person(principal, OWN) != setting.user_id:
        raise Unauthorized("Only they themselves change their settings.")
    require_known(changes, {"default_org_id", "tags"})
    chosen = changes.get("default_org_id")
    if chosen is not None:
        Organization.objects.visible_to(principal).get(pk=chosen)
    with writing(principal):
        rows = UserSetting.objects.select_related("user").select_for_update(no_key=True, of=("self",))
        setting = rows.get(pk=setting.pk)
        difference = rewrite(principal, setting, changes)
        if difference:
            announce(
                principal, "user_setting.updated", setting, None, subject_id=setting.user_id, **difference
            )
    return setting


@sensitive_variables()
def accept_as_new_person(link_secret: str, *, first_name: str, last_name: str, password: str) -> User:
    """Whoever holds the link of an invitation makes the account it was sent to, and joins.

    Raises as invitations.accept(), ValidationError for a weak password or an address that has an account.
    """
    with transaction.atomic():
        lock_members(invitations.opened(link_secret).owner_id)
        invite = invitations.opened(link_secret)  # again, now that nobody else can accept it
        names = {"first_name": first_name or None, "last_name": last_name or None}
        _require_good_password(password, User(email=invite.recipient, **names))
        user = User.objects.create_user(invite.recipient, password, **names)
        UserSetting.objects.filter(user=user).update(email_confirmed=True)
        themself = Principal(Kind.SESSION, id=str(user.pk), label=str(user), user=user)
        announce(themself, "user.created", user, None, subject_id=user.pk, invite=str(invite.pk))
        invitations.accept(themself, link_secret)
    return user


def _switch(principal: Principal, user: User, *, is_active: bool) -> User:
    require(principal, MANAGE, None)
    _require_authority(principal, user)
    with writing(principal):
        user = _locked(user)
        if rewrite(principal, user, {"is_active": is_active}):
            _tell_standing(user)
            action = "user.reactivated" if is_active else "user.deactivated"
            announce(principal, action, user, None)
    return user


def _tell_standing(user: User) -> None:
    """In the person's settings, where clients look for it."""
    status = UserStatus.ACTIVE if user.is_active else UserStatus.DEACTIVATED
    now = timezone.now()
    UserSetting.objects.filter(user=user).update(
        status=status,
        suspended_at=None if user.is_active else now,
        updated_at=now,
        updated_by=user.updated_by,
    )


def _permit(user: User, permissions: Collection[Permission]) -> dict[str, Any]:
    before = _codenames(user.user_permissions.all())
    user.user_permissions.set(permissions)
    after = _codenames(permissions)
    return {} if before == after else {"user_permissions": [before, after]}


def _codenames(permissions: Collection[Permission]) -> list[str]:
    return sorted(permission.codename for permission in permissions)


def _require_authority(
    principal: Principal, user: User | None = None, *, gives_standing: bool = False
) -> None:
    """An operator below a superuser touches no other operator and makes none: it would be a way up."""
    if principal.kind is not Kind.OPERATOR or principal.user.is_superuser:
        return
    is_operator = user is not None and (user.is_staff or user.is_superuser)
    if gives_standing or (is_operator and not _is_oneself(principal, user)):
        raise Unauthorized("Only a superuser changes those who may use the admin. Ask one.")


def _require_good_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as weak:
        raise ValidationError({"password": weak.error_list}) from weak


def _is_oneself(principal: Principal, user: User | None) -> bool:
    return user is not None and principal.user is not None and principal.user.pk == user.pk


def _locked(user: User) -> User:
    """The row as it is now, held until the transaction ends."""
    return User.objects.get_queryset().select_for_update(no_key=True).get(pk=user.pk)
