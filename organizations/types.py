"""Organizations, members and groups on the wire."""

from __future__ import annotations

from config.graphql.generate import by_foreign_key, node
from config.graphql.registry import ID
from organizations import models

TENANT_ORDER = ("created_at", "updated_at", "name", "display_name")


@node(models.Organization, exclude=("deleted_at",), order=TENANT_ORDER, unfiltered=("description",))
class Organization:
    """A tenant"""

    display_name: str
    members = by_foreign_key(models.OrgMembership, "organization")
    groups = by_foreign_key(models.Group, "owner")


@node(models.OrgMembership, exclude=("tags",), order=("created_at", "updated_at", "role"), edges=("user",))
class OrgMembership:
    """A person's role in an organization"""

    role: OrgMembershipRole  # type: ignore[name-defined]  # noqa: F821 (generated from the choices)


@node(models.Group, order=TENANT_ORDER)
class Group:
    """Members of an organization who share scopes"""

    owner_id: ID | None
    owner: Organization | None
    members = by_foreign_key(models.GroupMembership, "group")


@node(
    models.GroupMembership,
    exclude=("tags", "membership"),
    order=("created_at", "updated_at", "role"),
    edges=("user",),
)
class GroupMembership:
    """A member of an organization in one of its groups"""

    role: GroupMembershipRole  # type: ignore[name-defined]  # noqa: F821
