"""People and their settings on the wire."""

from __future__ import annotations

from accounts import models
from config.graphql import registry
from config.graphql.generate import absent, node, related, through
from config.graphql.inputs import update_input
from config.graphql.registry import ID
from organizations.models import Group, GroupMembership, Organization, OrgMembership

registry.add_enum("UserRole", {role: role for role in ("ADMIN", "MEMBER", "USER")})


@node(
    models.User,
    exclude=("password", "last_login", "is_superuser", "is_staff", "is_active"),
    order=("created_at", "updated_at", "first_name", "last_name", "display_name"),
    edges=("setting", "organizations", "org_memberships", "groups", "group_memberships"),
)
class User:
    """A person"""

    display_name: str
    role: UserRole | None = absent()  # type: ignore[name-defined]  # noqa: F821
    setting = related(models.UserSetting, "user")
    organizations = through(Organization, "members", "user")
    org_memberships = related(OrgMembership, "user")
    groups = through(Group, "members", "user")
    group_memberships = related(GroupMembership, "user")


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
    updated_by_impersonator: str | None = absent()
    status: UserSettingUserStatus  # type: ignore[name-defined]  # noqa: F821 (generated from the choices)


OWNED = ("locked", "silenced_at", "suspended_at", "status", "email_confirmed", "is_tfa_enabled", "user_id")
"""Part of the contract's inputs, and the server's alone."""
ELSEWHERE = ("organization", "group", "personal_access_token", "event")
"""Relations in the contract's input that are written where their rows are."""

update_input(
    models.User,
    ("tags", "first_name", "last_name", "display_name", "email", "last_seen", "role"),
    related=ELSEWHERE,
    reverse=("setting",),
    refused=("email", "last_seen", "role", "setting", *ELSEWHERE),
)
update_input(models.UserSetting, ("tags", "default_org_id", *OWNED), refused=OWNED)
