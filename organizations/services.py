"""What can be done to organizations, their members and groups. Each service is the only path to its fact."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from organizations.access import RANK, Principal, Unauthorized, require, writing
from organizations.models import Group, GroupMembership, Organization, OrgMembership, Record, Role
from organizations.scopes import UnknownScope, canonical
from organizations.signals import happened


def create_organization(
    principal: Principal, *, name: str, owner_id: UUID, display_name: str = "", description: str | None = None
) -> Organization:
    """A new tenant, whose first owner is `owner_id`. Raises ValidationError."""
    with writing(principal):
        organization = Organization(
            name=name,
            display_name=display_name or name,
            description=description,
            created_by=principal.id,
            updated_by=principal.id,
        )
        organization.full_clean()
        organization.save()
        announce(principal, "organization.created", organization, organization.id)
        _join(principal, organization.id, owner_id, Role.OWNER)
    return organization


def update_organization(
    principal: Principal, organization: Organization, changes: Mapping[str, Any]
) -> Organization:
    """Keys: name, display_name, description, tags. Raises ValidationError, DoesNotExist for a deleted one."""
    require(principal, "write:organization", organization.id)
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


def add_member(
    principal: Principal, *, organization_id: UUID, user_id: UUID, role: str = Role.MEMBER
) -> OrgMembership:
    """Raises Unauthorized for a role above one's own, ValidationError for one who is a member already."""
    require(principal, "admin:members", organization_id)
    _require_rank(principal, organization_id, role)
    with writing(principal):
        return _join(principal, organization_id, user_id, role)


def change_role(principal: Principal, membership: OrgMembership, role: str) -> OrgMembership:
    """Raises Unauthorized when either role ranks above one's own, ValidationError for the last owner."""
    require(principal, "admin:members", membership.organization_id)
    with writing(principal):
        _lock_members(membership.organization_id)
        membership.refresh_from_db()
        before = membership.role
        _require_rank(principal, membership.organization_id, before, role)
        if role == before:
            return membership
        if before == Role.OWNER:
            _require_another_owner(membership)
        membership.role, membership.updated_by = role, principal.id
        membership.full_clean()
        membership.save()
        announce(principal, "member.updated", membership, membership.organization_id, role=[before, role])
    return membership


def remove_member(principal: Principal, membership: OrgMembership) -> None:
    """The membership, its groups and every right that hung on them end. Raises as change_role()."""
    require(principal, "admin:members", membership.organization_id)
    _require_rank(principal, membership.organization_id, membership.role)
    with writing(principal):
        _lock_members(membership.organization_id)
        if membership.role == Role.OWNER:
            _require_another_owner(membership)
        announce(principal, "member.removed", membership, membership.organization_id, role=membership.role)
        membership.delete()


def create_group(
    principal: Principal,
    *,
    organization_id: UUID,
    name: str,
    description: str | None = None,
    scopes: Collection[str] = (),
) -> Group:
    """Raises Unauthorized for scopes one lacks, ValidationError for unknown ones."""
    require(principal, "admin:groups", organization_id)
    with writing(principal):
        group = Group(
            owner_id=organization_id,
            name=name,
            display_name=name,
            description=description,
            scopes=list(scopes),
            created_by=principal.id,
            updated_by=principal.id,
        )
        group.full_clean()
        require_scopes(principal, organization_id, group.scopes)
        group.save()
        announce(principal, "group.created", group, organization_id, scopes=group.scopes)
    return group


def update_group(principal: Principal, group: Group, changes: Mapping[str, Any]) -> Group:
    """Keys: name, display_name, description, tags, scopes. Raises as create_group()."""
    require(principal, "admin:groups", group.owner_id)
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


def add_to_group(principal: Principal, group: Group, user_id: UUID) -> GroupMembership:
    """Raises ValidationError for somebody who is not a member of the organization."""
    require(principal, "admin:groups", group.owner_id)
    with writing(principal):
        member = GroupMembership(
            group=group,
            membership=GroupMembership.membership_of(group, user_id),
            user_id=user_id,
            created_by=principal.id,
            updated_by=principal.id,
        )
        member.full_clean()
        member.save()
        announce(principal, "group_member.added", member, group.owner_id, group=group.name)
    return member


def remove_from_group(principal: Principal, member: GroupMembership) -> None:
    """The rights the group gave this person end; they stay a member of the organization."""
    require(principal, "admin:groups", member.group.owner_id)
    with writing(principal):
        announce(principal, "group_member.removed", member, member.group.owner_id, group=member.group.name)
        member.delete()


def rewrite(principal: Principal, record: Record, changes: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Set these fields, validate, save. Returns {field: [before, after]}; {} when nothing differs."""
    before = {name: getattr(record, name) for name in changes}
    for name, value in changes.items():
        setattr(record, name, value)
    record.full_clean()
    difference = {
        name: [was, getattr(record, name)] for name, was in before.items() if was != getattr(record, name)
    }
    if difference:
        record.updated_by = principal.id
        record.save()
    return difference


def require_scopes(principal: Principal, organization_id: UUID, names: Collection[str]) -> None:
    """Nobody grants what they lack. Raises ValidationError (unknown), Unauthorized (lacking)."""
    try:
        wanted = [canonical(name) for name in names]
    except UnknownScope as unknown:
        raise ValidationError({"scopes": str(unknown)}) from unknown
    for scope in wanted:
        require(principal, scope, organization_id)


def announce(
    principal: Principal, action: str, target: models.Model, organization_id: UUID | None, **changes: Any
) -> None:
    happened.send(
        sender=type(target),
        principal=principal,
        action=action,
        target=target,
        organization_id=organization_id,
        changes=changes,
    )


def _join(principal: Principal, organization_id: UUID, user_id: UUID, role: str) -> OrgMembership:
    membership = OrgMembership(
        organization_id=organization_id,
        user_id=user_id,
        role=role,
        created_by=principal.id,
        updated_by=principal.id,
    )
    membership.full_clean()
    membership.save()
    announce(principal, "member.added", membership, organization_id, role=role)
    return membership


def _require_rank(principal: Principal, organization_id: UUID, *roles: str) -> None:
    if principal.is_trusted:
        return
    own = principal.grants[organization_id].role
    if own is None or any(RANK[role] > RANK[own] for role in roles):
        raise Unauthorized("Nobody grants or takes a role above their own. Ask an owner.")


def _lock_members(organization_id: UUID) -> None:
    """Two owners who demote each other at once must not leave none."""
    Organization.objects.select_for_update(no_key=True).get(id=organization_id)


def _require_another_owner(membership: OrgMembership) -> None:
    others = OrgMembership.objects.filter(
        organization_id=membership.organization_id, role=Role.OWNER
    ).exclude(id=membership.id)
    if not others.exists():
        raise ValidationError(
            {"role": "The last owner cannot leave or be demoted. Make somebody else an owner first."}
        )
