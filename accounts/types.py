"""People and their settings on the wire."""

from __future__ import annotations

from accounts import models
from config.graphql.generate import node
from config.graphql.inputs import update_input
from config.graphql.registry import ID


@node(
    models.User,
    exclude=("password", "last_login", "is_superuser", "is_staff", "is_active"),
    order=("created_at", "updated_at", "first_name", "last_name", "display_name"),
)
class User:
    """A person"""

    display_name: str


@node(
    models.UserSetting,
    joined=("user",),
    edges=("user", "default_org"),
    enums={"status": "UserSettingUserStatus"},
)
class UserSetting:
    """What a person chose for themselves, and what the server knows of their account"""

    user_id: ID | None
    user: User | None
    locked: bool
    email_confirmed: bool
    status: UserSettingUserStatus  # type: ignore[name-defined]  # noqa: F821 (generated from the choices)


OWNED = ("locked", "silenced_at", "suspended_at", "status", "email_confirmed", "is_tfa_enabled", "user_id")
"""Part of the contract's inputs, and the server's alone."""

update_input(
    models.User,
    ("tags", "first_name", "last_name", "display_name", "email", "last_seen"),
    refused=("email", "last_seen"),
)
update_input(models.UserSetting, ("tags", "default_org_id", *OWNED), refused=OWNED)
