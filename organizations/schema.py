"""Root fields about organizations, members, groups, invitations, and the scopes there are.

Each translates the contract's input into one call of a service.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import strawberry
from strawberry import UNSET
from strawberry.types.info import Info

from config.graphql import bulk, connection, inputs, registry
from config.graphql.mutations import create, delete, read_back, root_field, single, update
from config.graphql.policy import authenticated, scoped
from config.graphql.registry import NODES
from config.graphql.scalars import as_id
from organizations import invitations, models, services, types  # noqa: F401 (types registers the answers)
from organizations.access import Principal
from organizations.scopes import CATALOGUE


@strawberry.type(description="A permission that can be asked for")
class Scope:
    name: str
    description: str


def all_scopes() -> list[Scope]:
    return [Scope(name=name, description=description) for name, description in CATALOGUE.items()]


# --- inputs to services --------------------------------------------------------------------------------


def create_organization(principal: Principal, given: dict[str, Any]) -> models.Organization:
    return services.create_organization(principal, **given)


def founded(info: Info, organization: models.Organization) -> None:
    """Whoever founded it owns it: the rest of the request sees it."""
    info.context.principal = info.context.principal.joined(organization, models.Role.OWNER)


def create_member(principal: Principal, given: dict[str, Any]) -> models.OrgMembership:
    return services.add_member(principal, **given)


def change_member(
    principal: Principal, membership: models.OrgMembership, changes: dict[str, Any]
) -> models.OrgMembership:
    return services.change_role(principal, membership, changes.get("role", membership.role))


def new_group(principal: Principal, given: dict[str, Any]) -> models.Group:
    organization_id = principal.organization(given.pop("owner_id", None))
    return services.create_group(principal, organization_id=organization_id, **given)


def change_group(principal: Principal, group: models.Group, changes: dict[str, Any]) -> models.Group:
    return services.update_group(principal, group, inputs.with_appended(group, changes))


def create_group_member(principal: Principal, given: dict[str, Any]) -> models.GroupMembership:
    group = models.Group.objects.visible_to(principal).get(pk=given.pop("group_id"))
    return services.add_to_group(principal, group, **given)


def change_group_member(
    principal: Principal, member: models.GroupMembership, changes: dict[str, Any]
) -> models.GroupMembership:
    return services.change_group_role(principal, member, changes.get("role", member.role))


def update_organization(
    principal: Principal, organization: models.Organization, changes: dict[str, Any]
) -> models.Organization:
    return services.update_organization(principal, organization, inputs.with_appended(organization, changes))


def update_setting(
    principal: Principal, setting: models.OrganizationSetting, changes: dict[str, Any]
) -> models.OrganizationSetting:
    return services.update_organization_setting(principal, setting, inputs.with_appended(setting, changes))


def invite(principal: Principal, given: dict[str, Any]) -> models.Invite:
    return invitations.invite(principal, **_invited(principal, given))


def invite_many(principal: Principal, given: Iterable[dict[str, Any]]) -> list[models.Invite]:
    return invitations.invite_many(principal, (_invited(principal, one) for one in given))


def _invited(principal: Principal, given: dict[str, Any]) -> dict[str, Any]:
    organization_id = principal.organization(given.pop("owner_id", None))
    return {**given, "organization_id": organization_id}


# --- fields of their own -------------------------------------------------------------------------------


def _members(given: Any, role: str) -> list[tuple[Any, str]]:
    """What a list of people says: (id, role) of each."""
    return [(as_id(one.user_id), one.role.value if one.role else role) for one in given or ()]


def create_organization_with_members(
    info: Info, organization_input: Any, members: Any = strawberry.UNSET
) -> Any:
    made = services.create_organization(
        info.context.principal,
        **inputs.sent(organization_input),
        members=_members(members, models.Role.MEMBER),
    )
    founded(info, made)
    return vars(registry)["OrganizationCreatePayload"](**read_back(info, NODES[models.Organization], made))


def create_group_with_members(info: Info, group_input: Any, members: Any = UNSET) -> Any:
    principal, given = info.context.principal, inputs.sent(group_input)
    made = services.create_group(
        principal,
        organization_id=principal.organization(given.pop("owner_id", None)),
        **given,
        members=_members(members, models.GroupRole.MEMBER),
    )
    return vars(registry)["GroupCreatePayload"](**read_back(info, NODES[models.Group], made))


def create_group_by_clone(
    info: Info,
    group_input: Any,
    members: Any = UNSET,
    inherit_group_permissions: Any = UNSET,
    clone_group_members: Any = UNSET,
) -> Any:
    """A group like others: with the scopes of one, and the members of one besides those named."""
    principal, given = info.context.principal, inputs.sent(group_input)
    organization_id = principal.organization(given.pop("owner_id", None))
    scopes, people = given.pop("scopes", []), _members(members, models.GroupRole.MEMBER)
    if inherit_group_permissions not in (None, UNSET):
        scopes = list(dict.fromkeys([*scopes, *_group(principal, inherit_group_permissions).scopes]))
    if clone_group_members not in (None, UNSET):
        cloned = models.GroupMembership.objects.visible_to(principal).filter(
            group=_group(principal, clone_group_members)
        )
        cloned = cloned.exclude(user__in=[user_id for user_id, _ in people])
        people += cloned.values_list("user_id", "role")
    made = services.create_group(
        principal, organization_id=organization_id, scopes=scopes, members=people, **given
    )
    return vars(registry)["GroupCreatePayload"](**read_back(info, NODES[models.Group], made))


def _group(principal: Principal, key: str) -> models.Group:
    """Raises Group.DoesNotExist."""
    return models.Group.objects.visible_to(principal).get(pk=as_id(key))


def transfer_ownership(info: Info, organization_id: str, new_owner_id: str) -> Any:
    principal = info.context.principal
    organization = models.Organization.objects.visible_to(principal).get(pk=as_id(organization_id))
    heir = models.OrgMembership.objects.visible_to(principal).get(
        organization=organization, user=as_id(new_owner_id)
    )
    services.transfer_ownership(principal, organization, heir)
    return vars(registry)["OrganizationUpdatePayload"](
        **read_back(info, NODES[models.Organization], organization)
    )


def leave_organization(info: Info, organization_id: str) -> Any:
    principal = info.context.principal
    organization = models.Organization.objects.visible_to(principal).get(pk=as_id(organization_id))
    left = services.leave(principal, organization)
    return vars(registry)["OrgMembershipDeletePayload"](deleted_id=str(left))


def resend_invite(info: Info, id: str) -> Any:  # noqa: A002 (the contract's name)
    principal = info.context.principal
    invitation = models.Invite.objects.visible_to(principal).get(pk=as_id(id))
    sent = invitations.resend(principal, invitation)
    return vars(registry)["InviteUpdatePayload"](**read_back(info, NODES[models.Invite], sent))


READ, MANAGE = scoped("read:organization"), scoped("admin:organization")
READ_MEMBERS, MANAGE_MEMBERS = scoped("read:members"), scoped("admin:members")
READ_GROUPS, MANAGE_GROUPS = scoped("read:groups"), scoped("admin:groups")


@strawberry.type
class Query:
    organizations = connection.field(models.Organization, directives=READ)
    organization = single(models.Organization, directives=READ)
    organization_search = connection.search(
        models.Organization, ("name", "display_name", "description"), directives=READ
    )
    organization_settings = connection.field(models.OrganizationSetting, directives=READ)
    organization_setting = single(models.OrganizationSetting, directives=READ)
    org_memberships = connection.field(models.OrgMembership, directives=READ_MEMBERS)
    org_membership = single(models.OrgMembership, directives=READ_MEMBERS)
    groups = connection.field(models.Group, directives=READ_GROUPS)
    group = single(models.Group, directives=READ_GROUPS)
    group_search = connection.search(
        models.Group, ("name", "display_name", "display_id", "description"), directives=READ_GROUPS
    )
    group_memberships = connection.field(models.GroupMembership, directives=READ_GROUPS)
    group_membership = single(models.GroupMembership, directives=READ_GROUPS)
    invites = connection.field(models.Invite, directives=READ_MEMBERS)
    invite = single(models.Invite, directives=READ_MEMBERS)
    invite_search = connection.search(models.Invite, ("recipient",), directives=READ_MEMBERS)
    scopes: list[Scope] = strawberry.field(
        resolver=all_scopes, description="Every scope there is", directives=authenticated()
    )


@strawberry.type
class Mutation:
    # Whoever founds or leaves an organization needs no right in it: the services ask for the person.
    create_organization = create(
        models.Organization, create_organization, after=founded, directives=authenticated()
    )
    update_organization = update(
        models.Organization, update_organization, directives=scoped("write:organization")
    )
    delete_organization = delete(models.Organization, services.delete_organization, directives=MANAGE)
    update_organization_setting = update(models.OrganizationSetting, update_setting, directives=MANAGE)
    update_bulk_organization_setting = bulk.update(
        models.OrganizationSetting, update_setting, directives=MANAGE
    )
    update_bulk_csv_organization_setting = bulk.update_from_csv(
        models.OrganizationSetting, update_setting, directives=MANAGE
    )

    create_org_membership = create(models.OrgMembership, create_member, directives=MANAGE_MEMBERS)
    create_bulk_org_membership = bulk.create(
        models.OrgMembership, bulk.one_by_one(create_member), directives=MANAGE_MEMBERS
    )
    create_bulk_csv_org_membership = bulk.create_from_csv(
        models.OrgMembership, bulk.one_by_one(create_member), directives=MANAGE_MEMBERS
    )
    update_org_membership = update(models.OrgMembership, change_member, directives=MANAGE_MEMBERS)
    update_bulk_org_membership = bulk.update(models.OrgMembership, change_member, directives=MANAGE_MEMBERS)
    update_bulk_csv_org_membership = bulk.update_from_csv(
        models.OrgMembership, change_member, directives=MANAGE_MEMBERS
    )
    delete_org_membership = delete(models.OrgMembership, services.remove_member, directives=MANAGE_MEMBERS)
    delete_bulk_org_membership = bulk.delete(
        models.OrgMembership, services.remove_member, directives=MANAGE_MEMBERS
    )

    create_group = create(models.Group, new_group, directives=MANAGE_GROUPS)
    create_bulk_group = bulk.create(models.Group, bulk.one_by_one(new_group), directives=MANAGE_GROUPS)
    create_bulk_csv_group = bulk.create_from_csv(
        models.Group, bulk.one_by_one(new_group), directives=MANAGE_GROUPS
    )
    update_group = update(models.Group, change_group, directives=MANAGE_GROUPS)
    update_bulk_group = bulk.update(models.Group, change_group, directives=MANAGE_GROUPS)
    update_bulk_csv_group = bulk.update_from_csv(models.Group, change_group, directives=MANAGE_GROUPS)
    delete_group = delete(models.Group, services.delete_group, directives=MANAGE_GROUPS)
    delete_bulk_group = bulk.delete(models.Group, services.delete_group, directives=MANAGE_GROUPS)

    create_group_membership = create(models.GroupMembership, create_group_member, directives=MANAGE_GROUPS)
    create_bulk_group_membership = bulk.create(
        models.GroupMembership, bulk.one_by_one(create_group_member), directives=MANAGE_GROUPS
    )
    create_bulk_csv_group_membership = bulk.create_from_csv(
        models.GroupMembership, bulk.one_by_one(create_group_member), directives=MANAGE_GROUPS
    )
    update_group_membership = update(models.GroupMembership, change_group_member, directives=MANAGE_GROUPS)
    update_bulk_group_membership = bulk.update(
        models.GroupMembership, change_group_member, directives=MANAGE_GROUPS
    )
    update_bulk_csv_group_membership = bulk.update_from_csv(
        models.GroupMembership, change_group_member, directives=MANAGE_GROUPS
    )
    delete_group_membership = delete(
        models.GroupMembership, services.remove_from_group, directives=MANAGE_GROUPS
    )
    delete_bulk_group_membership = bulk.delete(
        models.GroupMembership, services.remove_from_group, directives=MANAGE_GROUPS
    )

    create_invite = create(models.Invite, invite, directives=MANAGE_MEMBERS)
    create_bulk_invite = bulk.create(models.Invite, bulk.all_together(invite_many), directives=MANAGE_MEMBERS)
    create_bulk_csv_invite = bulk.create_from_csv(
        models.Invite, bulk.all_together(invite_many), directives=MANAGE_MEMBERS
    )
    update_invite = update(models.Invite, invitations.update_invitation, directives=MANAGE_MEMBERS)
    update_bulk_invite = bulk.update(models.Invite, invitations.update_invitation, directives=MANAGE_MEMBERS)
    update_bulk_csv_invite = bulk.update_from_csv(
        models.Invite, invitations.update_invitation, directives=MANAGE_MEMBERS
    )
    delete_invite = delete(models.Invite, invitations.withdraw, directives=MANAGE_MEMBERS)
    delete_bulk_invite = bulk.delete(models.Invite, invitations.withdraw, directives=MANAGE_MEMBERS)

    create_organization_with_members = root_field(
        create_organization_with_members,
        {
            "organization_input": "CreateOrganizationInput",
            "members": "list[OrgMembersInput] | None",
        },
        "OrganizationCreatePayload",
        {"directives": authenticated()},
    )
    create_group_with_members = root_field(
        create_group_with_members,
        {"group_input": "CreateGroupInput", "members": "list[GroupMembersInput] | None"},
        "GroupCreatePayload",
        {"directives": MANAGE_GROUPS},
    )
    create_group_by_clone = root_field(
        create_group_by_clone,
        {
            "group_input": "CreateGroupInput",
            "members": "list[GroupMembersInput] | None",
            "inherit_group_permissions": "ID | None",
            "clone_group_members": "ID | None",
        },
        "GroupCreatePayload",
        {"directives": MANAGE_GROUPS},
    )
    transfer_organization_ownership = root_field(
        transfer_ownership,
        {"organization_id": "ID", "new_owner_id": "ID"},
        "OrganizationUpdatePayload",
        {"directives": authenticated()},
    )
    leave_organization = root_field(
        leave_organization,
        {"organization_id": "ID"},
        "OrgMembershipDeletePayload",
        {"directives": authenticated()},
    )
    resend_invite = root_field(
        resend_invite, {"id": "ID"}, "InviteUpdatePayload", {"directives": MANAGE_MEMBERS}
    )
