"""Organizations, their settings, members, groups and invitations on the wire."""

from __future__ import annotations

from config.graphql import registry
from config.graphql.generate import by_foreign_key, node
from config.graphql.inputs import create_input, update_input
from config.graphql.registry import ID
from organizations import models

TENANT_ORDER = ("created_at", "updated_at", "name", "display_name")


@node(models.Organization, exclude=("deleted_at",), order=TENANT_ORDER, unfiltered=("description",))
class Organization:
    """A tenant"""

    display_name: str
    children = by_foreign_key(models.Organization, "parent")
    members = by_foreign_key(models.OrgMembership, "organization")
    groups = by_foreign_key(models.Group, "owner")
    invites = by_foreign_key(models.Invite, "owner")


@node(
    models.OrganizationSetting,
    exclude=("identity_provider_client_secret",),
    joined=("organization",),
    edges=("organization",),
    enums={"identity_provider": "OrganizationSettingSSOProvider"},
)
class OrganizationSetting:
    """The policy of an organization; the client secret is written and never read"""

    organization_id: ID | None
    organization: Organization | None
    identity_provider_login_enforced: bool


@node(
    models.OrgMembership,
    exclude=("tags",),
    order=("created_at", "updated_at", "role"),
    edges=("user", "organization"),
    as_text=("user_id", "organization_id"),
)
class OrgMembership:
    """A person's role in an organization"""

    role: OrgMembershipRole  # type: ignore[name-defined]  # noqa: F821 (generated from the choices)


@node(models.Group, order=TENANT_ORDER, edges=("owner",))
class Group:
    """Members of an organization who share scopes"""

    owner_id: ID | None
    owner: Organization | None
    members = by_foreign_key(models.GroupMembership, "group")


@node(
    models.GroupMembership,
    exclude=("tags", "membership"),
    order=("created_at", "updated_at", "role"),
    edges=("user", "group"),
    as_text=("user_id", "group_id"),
)
class GroupMembership:
    """A member of an organization in one of its groups"""

    role: GroupMembershipRole  # type: ignore[name-defined]  # noqa: F821


@node(
    models.Invite,
    exclude=("tags", "digest"),
    order=("created_at", "updated_at", "expires", "status", "send_attempts"),
    edges=("owner",),
    enums={"status": "InviteInviteStatus"},
)
class Invite:
    """An invitation to an organization, sent to an address"""

    owner_id: ID | None
    owner: Organization | None
    status: InviteInviteStatus  # type: ignore[name-defined]  # noqa: F821
    role: InviteRole  # type: ignore[name-defined]  # noqa: F821
    send_attempts: int


registry.add_input("OrgMembersInput", {"user_id": "ID", "role": "OrgMembershipRole | None"})
registry.add_input("GroupMembersInput", {"user_id": "ID", "role": "GroupMembershipRole | None"})

create_input(
    models.Organization,
    ("tags", "name", "display_name", "description", "personal_org", "parent_id"),
    optional=("display_name",),
)
update_input(models.Organization, ("tags", "name", "display_name", "description"))
update_input(
    models.OrganizationSetting,
    (
        "tags",
        "allowed_email_domains",
        "identity_provider",
        "identity_provider_client_id",
        "identity_provider_client_secret",
        "oidc_discovery_endpoint",
        "identity_provider_login_enforced",
        "multifactor_auth_enforced",
        "sso_exempt_domains",
        "organization_id",
    ),
    refused=("organization_id",),
)
create_input(models.OrgMembership, ("role", "organization_id", "user_id"), optional=("role",))
update_input(models.OrgMembership, ("role",))
create_input(
    models.Group,
    ("tags", "name", "display_name", "description", "scopes", "owner_id"),
    optional=("display_name",),
)
update_input(
    models.Group, ("tags", "name", "display_name", "description", "scopes", "owner_id"), refused=("owner_id",)
)
create_input(models.GroupMembership, ("role", "group_id", "user_id"), optional=("role",))
update_input(models.GroupMembership, ("role",))
INVITED = ("expires", "role", "ownership_transfer", "owner_id")
create_input(
    models.Invite,
    ("recipient", *INVITED, "status", "send_attempts"),
    related=("group",),
    refused=("status", "send_attempts"),
    optional=("role", "owner_id", "status", "send_attempts"),
)
update_input(
    models.Invite,
    (*INVITED, "status", "send_attempts"),
    related=("group",),
    refused=("expires", "ownership_transfer", "owner_id", "status", "send_attempts", "clear_groups"),
)
