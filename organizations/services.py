"""What can be done to organizations, their members and groups. Each service is the only path to its fact.

Neighbours: invitations.py, about those who are not members yet; changes.py, how a row is changed and told.
"""

from collections.abc import Collection, Mapping
from typing import Any, cast
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone

from organizations.access import Principal, Unauthorized, require, require_person, writing
from organizations.changes import announce, require_known, rewrite
from organizations.membership import hand_over, join, lock_members, require_another_owner, require_rank
from organizations.models import (
    Group,
    GroupMembership,
    GroupRole,
    Organization,
    OrganizationSetting,
    OrgMembership,
    Role,
)
from organizations.scopes import UnknownScope, canonical, held

Places = Collection[tuple[UUID, str]]
"""(user id, role) of several people."""

DESCRIPTION = frozenset({"name", "display_name", "description", "tags"})
SETTINGS = frozenset(
    {
        "allowed_email_domains",
        "identity_provider",
        "identity_provider_client_id",
        "identity_provider_client_secret",
        "oidc_discovery_endpoint",
        "identity_provider_login_enforced",
        "multifactor_auth_enforced",
        "sso_exempt_domains",
        "tags",
    }
)
BOUND = "This token is bound to the organizations it was issued for. Use a session or another token."


def create_organization(
    principal: Principal,
    *,
    name: str,
    owner_id: UUID | None = None,
    display_name: str = "",
    description: str | None = None,
    tags: Collection[str] = (),
    personal_org: bool = False,
    parent_id: UUID | None = None,
    members: Places = (),
) -> Organization:
    """A new tenant, its settings and its first people. Whoever asks becomes its owner.

    `owner_id` is for trusted principals. What asks sees the new organization after Principal.joined(). Raises
    ValidationError, Unauthorized for an API token, DoesNotExist for a foreign parent or an unknown person.
    """
    founder_id = cast(UUID, owner_id) if principal.is_trusted else _founder(principal)
    if parent_id is not None:
        require(principal, "admin:organization", parent_id)
    by = {"created_by": principal.id, "updated_by": principal.id}
    with writing(principal):
        organization = Organization(
            name=name,
            display_name=display_name or name,
            description=description,
            tags=list(tags),
            personal_org=personal_org,
            parent=Organization.objects.live().get(pk=parent_id) if parent_id else None,
            **by,
        )
        organization.full_clean()
        organization.save()
        OrganizationSetting.objects.create(organization=organization, **by)
        people = [
            join(principal, organization, user_id, role)
            for user_id, role in [(founder_id, Role.OWNER), *members]
        ]
        announce(
            principal,
            "organization.created",
            organization,
            organization.id,
            members={str(one.user): one.role for one in people},
        )
    return organization


def update_organization(
    principal: Principal, organization: Organization, changes: Mapping[str, Any]
) -> Organization:
    """Keys: name, display_name, description, tags. Raises ValidationError, DoesNotExist for a deleted one."""
    require(principal, "write:organization", organization.id)
    require_known(changes, DESCRIPTION)
    with writing(principal):
        organization = Organization.objects.live().select_for_update(no_key=True).get(pk=organization.pk)
        difference = rewrite(principal, organization, changes)
        if difference:
            announce(principal, "organization.updated", organization, organization.id, **difference)
    return organization


def delete_organization(principal: Principal, organization: Organization) -> UUID:
    """Close a tenant. The rows stay for the audit; its tokens and its members' rights in it end at once."""
    require(principal, "admin:organization", organization.id, owner_only=True)
    now = timezone.now()
    with writing(principal):
        was_first = (
            Organization.objects.live()
            .filter(pk=organization.pk)
            .update(deleted_at=now, updated_at=now, updated_by=principal.id)
        )
        if was_first:
            announce(principal, "organization.deleted", organization, organization.id)
    return organization.id


def transfer_ownership(
    principal: Principal, organization: Organization, membership: OrgMembership
) -> OrgMembership:
    """An owner hands over: `membership` gets the role owner, their own the role admin. The former's answer.

    Raises Unauthorized for whoever is no owner, ValidationError for oneself or somebody deactivated.
    """
    require(principal, "admin:organization", organization.id, owner_only=True)
    user_id = require_person(principal, "admin:organization")
    with writing(principal):
        lock_members(organization.id)
        membership = organization.members.select_related("user").get(pk=membership.pk)
        if membership.user_id == user_id or not membership.user.is_active:
            raise ValidationError({"membership": "Choose another member, who can log in."})
        hand_over(principal, organization, user_id, membership)
        announce(
            principal,
            "organization.transferred",
            organization,
            organization.id,
            owner=[principal.label, str(membership.user)],
        )
    return membership


def leave(principal: Principal, organization: Organization) -> UUID:
    """Give up one's membership, and the groups and rights that hang on it. Its id.

    Raises DoesNotExist where one is no member, ValidationError for the last owner.
    """
    user_id = require_person(principal, "admin:members")
    principal.organization(organization.id)
    with writing(principal):
        lock_members(organization.id)
        membership = organization.members.select_related("user", "organization").get(user=user_id)
        require_another_owner(membership)
        announce(
            principal, "member.left", membership, organization.id, subject_id=user_id, role=membership.role
        )
        membership_id = membership.id
        membership.delete()
    return membership_id


def update_organization_setting(
    principal: Principal, setting: OrganizationSetting, changes: Mapping[str, Any]
) -> OrganizationSetting:
    """Keys: SETTINGS. The client secret is sealed, and never told again. Raises ValidationError."""
    require(principal, "admin:organization", setting.organization_id)
    require_known(changes, SETTINGS)
    with writing(principal):
        rows = OrganizationSetting.objects.select_related("organization").filter(
            organization__deleted_at__isnull=True
        )
        setting = rows.select_for_update(no_key=True, of=("self",)).get(pk=setting.pk)
        difference = rewrite(principal, setting, changes)
        if difference:
            announce(
                principal, "organization_setting.updated", setting, setting.organization_id, **difference
            )
    return setting


def outdated_secrets() -> list[OrganizationSetting]:
    """The settings whose secret another key than the first of FIELD_KEYS encrypts."""
    rows = OrganizationSetting.objects.with_secret().select_related("organization")
    return [setting for setting in rows if not setting.identity_provider_client_secret.is_current]


def reseal(principal: Principal, setting: OrganizationSetting) -> None:
    """Encrypt a secret anew, under the first key. Raises sealing.Unreadable."""
    require(principal, "admin:organization", setting.organization_id)
    with writing(principal):
        rows = OrganizationSetting.objects.select_related("organization")
        setting = rows.select_for_update(no_key=True, of=("self",)).get(pk=setting.pk)
        sealed = setting.identity_provider_client_secret
        if sealed is None:
            return
        difference = rewrite(principal, setting, {"identity_provider_client_secret": sealed.resealed()})
        announce(principal, "organization_setting.updated", setting, setting.organization_id, **difference)


def add_member(
    principal: Principal, *, organization_id: UUID, user_id: UUID, role: str = Role.MEMBER
) -> OrgMembership:
    """Somebody one knows already; strangers are invited.

    Raises Unauthorized for a role above one's own, ValidationError for one who is a member already or whose
    e-mail domain is not allowed, DoesNotExist for somebody one does not see.
    """
    require(principal, "admin:members", organization_id)
    require_rank(principal, organization_id, role)
    with writing(principal):
        organization = lock_members(organization_id)
        membership = join(principal, organization, user_id, role)
        announce(principal, "member.added", membership, organization_id, role=role)
    return membership


def change_role(principal: Principal, membership: OrgMembership, role: str) -> OrgMembership:
    """Raises Unauthorized when either role ranks above one's own, ValidationError for the last owner."""
    require(principal, "admin:members", membership.organization_id)
    with writing(principal):
        lock_members(membership.organization_id)
        membership.refresh_from_db()
        before = membership.role
        require_rank(principal, membership.organization_id, before, role)
        if role == before:
            return membership
        require_another_owner(membership)
        membership.role, membership.updated_by = role, principal.id
        membership.full_clean()
        membership.save()
        announce(principal, "member.updated", membership, membership.organization_id, role=[before, role])
    return membership


def remove_member(principal: Principal, membership: OrgMembership) -> None:
    """The membership, its groups and every right that hung on them end. Raises as change_role()."""
    require(principal, "admin:members", membership.organization_id)
    with writing(principal):
        lock_members(membership.organization_id)
        membership.refresh_from_db()
        require_rank(principal, membership.organization_id, membership.role)
        require_another_owner(membership)
        announce(principal, "member.removed", membership, membership.organization_id, role=membership.role)
        membership.delete()


def create_group(
    principal: Principal,
    *,
    organization_id: UUID,
    name: str,
    display_name: str = "",
    description: str | None = None,
    scopes: Collection[str] = (),
    tags: Collection[str] = (),
    members: Places = (),
) -> Group:
    """A group, and who is in it. Raises Unauthorized for scopes one lacks, ValidationError for unknown."""
    require(principal, "admin:groups", organization_id)
    with writing(principal):
        group = Group(
            owner=Organization.objects.live().get(pk=organization_id),
            name=name,
            display_name=display_name or name,
            description=description,
            scopes=list(scopes),
            tags=list(tags),
            created_by=principal.id,
            updated_by=principal.id,
        )
        group.full_clean()
        require_scopes(principal, organization_id, group.scopes)
        group.save()
        people = [_put(principal, group, user_id, role) for user_id, role in members]
        told: dict[str, Any] = {"scopes": group.scopes}
        if people:
            told["members"] = {str(one.user): one.role for one in people}
        announce(principal, "group.created", group, organization_id, **told)
    return group


def update_group(principal: Principal, group: Group, changes: Mapping[str, Any]) -> Group:
    """Keys: name, display_name, description, tags, scopes. Raises as create_group()."""
    require(principal, "admin:groups", group.owner_id)
    require_known(changes, DESCRIPTION | {"scopes"})
    with writing(principal):
        group = Group.objects.select_for_update(no_key=True).get(pk=group.pk)
        added = [name for name in changes.get("scopes", ()) if name not in group.scopes]
        require_scopes(principal, group.owner_id, added)
        difference = rewrite(principal, group, changes)
        if difference:
            announce(principal, "group.updated", group, group.owner_id, **difference)
    return group


def delete_group(principal: Principal, group: Group) -> UUID:
    """The group, who was in it, and the rights it gave them end."""
    require(principal, "admin:groups", group.owner_id)
    group_id = group.id
    with writing(principal):
        members = sorted(str(user_id) for user_id in group.members.values_list("user_id", flat=True))
        announce(
            principal, "group.deleted", group, group.owner_id, scopes=list(group.scopes), members=members
        )
        group.delete()
    return group_id


def add_to_group(
    principal: Principal, group: Group, user_id: UUID, role: str = GroupRole.MEMBER
) -> GroupMembership:
    """Raises ValidationError for somebody who is not a member of the organization or is in the group already,
    Unauthorized for a group that gives scopes one lacks.
    """
    require(principal, "admin:groups", group.owner_id)
    for scope in held(group.scopes):
        require(principal, scope, group.owner_id)
    with writing(principal):
        member = _put(principal, group, user_id, role)
        announce(principal, "group_member.added", member, group.owner_id, group=group.name, role=role)
    return member


def change_group_role(principal: Principal, member: GroupMembership, role: str) -> GroupMembership:
    """Raises ValidationError for an unknown role."""
    require(principal, "admin:groups", member.group.owner_id)
    with writing(principal):
        rows = GroupMembership.objects.select_related("group", "user", "membership")
        member = rows.select_for_update(no_key=True, of=("self",)).get(pk=member.pk)
        difference = rewrite(principal, member, {"role": role})
        if difference:
            group = member.group
            announce(
                principal, "group_member.updated", member, group.owner_id, group=group.name, **difference
            )
    return member


def remove_from_group(principal: Principal, member: GroupMembership) -> None:
    """The rights the group gave this person end; they stay a member of the organization."""
    require(principal, "admin:groups", member.group.owner_id)
    with writing(principal):
        announce(principal, "group_member.removed", member, member.group.owner_id, group=member.group.name)
        member.delete()


def require_scopes(principal: Principal, organization_id: UUID, names: Collection[str]) -> None:
    """Nobody grants what they lack. Raises ValidationError (unknown), Unauthorized (lacking)."""
    try:
        wanted = [canonical(name) for name in names]
    except UnknownScope as unknown:
        raise ValidationError({"scopes": str(unknown)}) from unknown
    for scope in wanted:
        require(principal, scope, organization_id)


def _founder(principal: Principal) -> UUID:
    """Who asks for a new organization. Raises as require_person(), Unauthorized for a bound token."""
    user_id = require_person(principal, "write:organization")
    if principal.token is not None and not principal.token.covers_all_organizations:
        raise Unauthorized(BOUND)
    return user_id


def _put(principal: Principal, group: Group, user_id: UUID, role: str) -> GroupMembership:
    member = GroupMembership(
        group=group,
        membership=GroupMembership.membership_of(group, user_id),
        user_id=user_id,
        role=role,
        created_by=principal.id,
        updated_by=principal.id,
    )
    member.full_clean()
    member.save()
    return member
