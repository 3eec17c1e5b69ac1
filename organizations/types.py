"""Organizations, their settings, members, groups and invitations on the wire."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from config.graphql import registry
from config.graphql.generate import absent, node, related, through
from config.graphql.inputs import create_input, update_input
from config.graphql.registry import ID
from config.graphql.scalars import DateTime
from organizations import models

EDGES = ("parent", "children", "setting", "members", "users", "groups", "invites")
TENANT_ORDER = ("created_at", "updated_at", "name", "display_name")


@node(models.Organization, exclude=("deleted_at",), order=TENANT_ORDER, edges=EDGES)
class Organization:
    """A tenant"""

    display_name: str
    updated_by_impersonator: str | None = absent()
    children = related(models.Organization, "parent")
    setting = related(models.OrganizationSetting, "organization")
    members = related(models.OrgMembership, "organization")
    users = through(get_user_model(), "org_memberships", "organization")
    groups = related(models.Group, "owner")
    invites = related(models.Invite, "owner")


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
    identity_provider_client_secret: str | None = absent()
    updated_by_impersonator: str | None = absent()
    identity_provider_login_enforced: bool


@node(
    models.OrgMembership,
    exclude=("tags",),
    joined=("user", "organization"),
    order=("created_at", "updated_at", "role"),
    edges=("user", "organization"),
    as_text=("user_id", "organization_id"),
)
class OrgMembership:
    """A person's role in an organization"""

    role: OrgMembershipRole  # type: ignore[name-defined]  # noqa: F821 (generated from the choices)
    updated_by_impersonator: str | None = absent()
    additional_roles: list[str] | None = absent()
    sso_exempt: bool | None = absent()
    sso_exempt_reason: str | None = absent()
    sso_exempt_granted_by: str | None = absent()
    sso_exempt_granted_at: DateTime | None = absent()
    tfa_enforced: bool | None = absent()
    tfa_enforced_reason: str | None = absent()
    tfa_enforced_by: str | None = absent()
    tfa_enforced_at: DateTime | None = absent()


@node(models.Group, joined=("owner",), order=TENANT_ORDER, edges=("owner", "members", "users"))
class Group:
    """Members of an organization who share scopes"""

    owner_id: ID | None
    owner: Organization | None
    updated_by_impersonator: str | None = absent()
    members = related(models.GroupMembership, "group")
    users = through(get_user_model(), "group_memberships", "group")


@node(
    models.GroupMembership,
    exclude=("tags", "membership"),
    joined=("group",),
    joined_for={"user": "read:members"},
    order=("created_at", "updated_at", "role"),
    edges=("user", "group"),
    as_text=("user_id", "group_id"),
)
class GroupMembership:
    """A member of an organization in one of its groups"""

    role: GroupMembershipRole  # type: ignore[name-defined]  # noqa: F821
    updated_by_impersonator: str | None = absent()


@node(
    models.Invite,
    exclude=("tags", "digest"),
    joined=("owner",),
    order=("created_at", "updated_at", "expires", "status", "send_attempts"),
    edges=("owner", "groups"),
    enums={"status": "InviteInviteStatus"},
)
class Invite:
    """An invitation to an organization, sent to an address"""

    owner_id: ID | None
    owner: Organization | None
    status: InviteInviteStatus  # type: ignore[name-defined]  # noqa: F821
    role: InviteRole  # type: ignore[name-defined]  # noqa: F821
    send_attempts: int
    updated_by_impersonator: str | None = absent()
    sso_exempt: bool | None = absent()
    groups = related(models.Group, "invites")


registry.add_input("OrgMembersInput", {"user_id": "ID", "role": "OrgMembershipRole | None"})
registry.add_input("GroupMembersInput", {"user_id": "ID", "role": "GroupMembershipRole | None"})

# What the contract's inputs have and no service takes is refused by name: a relation is written where its row
# is, an event by the server, an exemption from SSO or two factors by nobody.
OF_TENANT = ("event", "group", "invite", "personal_access_token")
EXEMPT = ("sso_exempt", "sso_exempt_reason", "tfa_enforced", "tfa_enforced_reason")
create_input(
    models.Organization,
    ("tags", "name", "display_name", "description", "personal_org", "parent_id"),
    related=(*OF_TENANT, "api_token"),
    reverse=("setting",),
    refused=(*OF_TENANT, "api_token", "setting"),
    optional=("display_name",),
)
update_input(
    models.Organization,
    ("tags", "name", "display_name", "description"),
    related=OF_TENANT,
    reverse=("setting",),
    refused=(*OF_TENANT, "setting"),
)
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
create_input(
    models.OrgMembership,
    ("role", "organization_id", "user_id", *EXEMPT),
    related=("event",),
    refused=("event", *EXEMPT),
    optional=("role",),
)
update_input(models.OrgMembership, ("role", *EXEMPT), related=("event",), refused=("event", *EXEMPT))
create_input(
    models.Group,
    ("tags", "name", "display_name", "description", "scopes", "owner_id"),
    related=("event",),
    reverse=("setting",),
    refused=("event", "setting"),
    optional=("display_name",),
)
update_input(
    models.Group,
    ("tags", "name", "display_name", "description", "scopes", "owner_id"),
    related=("event",),
    reverse=("setting",),
    refused=("owner_id", "event", "setting"),
)
create_input(
    models.GroupMembership,
    ("role", "group_id", "user_id"),
    related=("event",),
    refused=("event",),
    optional=("role",),
)
update_input(models.GroupMembership, ("role",), related=("event",), refused=("event",))
INVITED = ("expires", "role", "ownership_transfer", "owner_id")
SENT = ("status", "send_attempts", "sso_exempt")
create_input(
    models.Invite,
    ("recipient", *INVITED, *SENT),
    related=("group", "event"),
    refused=(*SENT, "event"),
    optional=("role", "owner_id", "status", "send_attempts"),
)
update_input(
    models.Invite,
    (*INVITED, *SENT),
    related=("group", "event"),
    refused=("expires", "ownership_transfer", "owner_id", *SENT, "clear_groups", "event"),
)
