"""Every mutation, its arguments, who may call it, and the event it leaves. A mutation without an entry fails
the suite. What is expected is said here in words; it is not derived from the code it judges.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from audit.actions import Action
from tests.mutations.tenancy import ALLOWED, LEFT, Tenancy

UNAUTHORIZED, INSUFFICIENT_SCOPES, NOT_FOUND = "UNAUTHORIZED", "INSUFFICIENT_SCOPES", "NOT_FOUND"
VALIDATION_ERROR, BAD_REQUEST = "VALIDATION_ERROR", "BAD_REQUEST"

ROLES = ("owner", "admin", "member", "auditor")
PEOPLE = (*ROLES, "outsider")
"""Each with a session, and with a personal token without scopes, which may do what its owner may.

Member, auditor and outsider own an organization elsewhere: every door stands open, and acme itself decides.
"""
NARROW = "owner's reading token"
MACHINES = ("reading machine", "writing machine", "machine")
"""API tokens of acme; the last one has the scope admin."""
FOREIGN = "machine of globex"
"""An API token of the outsider's organization, with the scope admin."""
PRINCIPALS = (*PEOPLE, *(f"{one}'s token" for one in PEOPLE), NARROW, *MACHINES, FOREIGN)

ADMINS = ("owner", "admin")
ADMINISTRATION = (*ADMINS, "machine")

Arguments = Callable[[Tenancy], dict[str, Any]]


@dataclass(frozen=True)
class Rule:
    """Whoever `may` is allowed, and each of `rows` rows leaves the one event `told`.

    Everybody else of acme is UNAUTHORIZED, a token below the scope INSUFFICIENT_SCOPES, and whoever is not of
    acme gets what `strangers` get; `otherwise` says where that is not so. `by_row`: what is not the caller's
    to change is left.
    """

    given: Arguments
    told: Action
    may: Collection[str]
    rows: int = 1
    strangers: str = NOT_FOUND
    otherwise: Mapping[str, str] = field(default_factory=dict)
    by_row: bool = False
    is_file: bool = False

    def expected(self, who: str) -> str:
        actor = who.removesuffix("'s token")
        if self.is_file and who in PEOPLE:
            return BAD_REQUEST
        if actor in self.may:
            return ALLOWED
        if actor in self.otherwise:
            return self.otherwise[actor]
        if actor in (NARROW, "reading machine", "writing machine"):
            return INSUFFICIENT_SCOPES
        if self.by_row:
            return LEFT
        if actor in ("outsider", FOREIGN):
            return self.strangers
        return UNAUTHORIZED


def answered(code: str, *who: str) -> dict[str, str]:
    return dict.fromkeys(who, code)


NO_PERSON = answered(UNAUTHORIZED, *MACHINES, FOREIGN)
"""What only people do, with no scope at the door."""
UNSEEN = answered(NOT_FOUND, "admin", "member", "auditor", *MACHINES, FOREIGN)
"""What is one person's own is there for nobody else."""
OWN = answered(NOT_FOUND, "admin", "member", "auditor", "machine")
"""Likewise, behind a scope."""
API_TOKENS_UNSEEN = answered(NOT_FOUND, "member")

POLICY: dict[str, Rule] = {
    # --- API tokens
    "createAPIToken": Rule(
        lambda acme: {"input": {"name": "new", "ownerID": acme["organization"]}},
        Action.API_TOKEN_CREATED,
        ADMINISTRATION,
    ),
    "updateAPIToken": Rule(
        lambda acme: {"id": acme["api token"], "input": {"name": "renamed"}},
        Action.API_TOKEN_UPDATED,
        ADMINISTRATION,
        otherwise=API_TOKENS_UNSEEN,
    ),
    "deleteAPIToken": Rule(
        lambda acme: {"id": acme["api token"]},
        Action.API_TOKEN_DELETED,
        ADMINISTRATION,
        otherwise=API_TOKENS_UNSEEN,
    ),
    "createBulkAPIToken": Rule(
        lambda acme: {"input": [{"name": name, "ownerID": acme["organization"]} for name in "ab"]},
        Action.API_TOKEN_CREATED,
        ADMINISTRATION,
        rows=2,
    ),
    "updateBulkAPIToken": Rule(
        lambda acme: {"ids": acme.both("api token"), "input": {"name": "renamed"}},
        Action.API_TOKEN_UPDATED,
        ADMINISTRATION,
        rows=2,
        by_row=True,
    ),
    "deleteBulkAPIToken": Rule(
        lambda acme: {"ids": acme.both("api token")},
        Action.API_TOKEN_DELETED,
        ADMINISTRATION,
        rows=2,
        by_row=True,
    ),
    "rotateAPIToken": Rule(
        lambda acme: {"id": acme["api token"], "input": {"overlapSeconds": 60}},
        Action.API_TOKEN_ROTATED,
        ADMINISTRATION,
        otherwise=API_TOKENS_UNSEEN,
    ),
    "updateTokenPolicy": Rule(
        lambda acme: {"organizationID": acme["organization"], "input": {"expiryRequiredMode": "REPORT_ONLY"}},
        Action.TOKEN_POLICY_UPDATED,
        ADMINISTRATION,
    ),
    # --- personal tokens: everybody's own
    "createPersonalAccessToken": Rule(
        lambda acme: {"input": {"name": "new", "scopes": ["read"]}},
        Action.PERSONAL_ACCESS_TOKEN_CREATED,
        PEOPLE,
        strangers=UNAUTHORIZED,
    ),
    "updatePersonalAccessToken": Rule(
        lambda acme: {"id": acme["personal token"], "input": {"name": "renamed"}},
        Action.PERSONAL_ACCESS_TOKEN_UPDATED,
        ("owner",),
        otherwise=OWN,
    ),
    "rotatePersonalAccessToken": Rule(
        lambda acme: {"id": acme["personal token"], "input": {"overlapSeconds": 60}},
        Action.PERSONAL_ACCESS_TOKEN_ROTATED,
        ("owner",),
        otherwise=OWN | answered(NOT_FOUND, "writing machine"),  # it passes the door, to rotate itself
    ),
    "deletePersonalAccessToken": Rule(
        lambda acme: {"id": acme["personal token"]},
        Action.PERSONAL_ACCESS_TOKEN_DELETED,
        ("owner",),
        otherwise=OWN,
    ),
    # --- people
    "updateUser": Rule(
        lambda acme: {"id": acme["self"], "input": {"displayName": "renamed"}},
        Action.USER_UPDATED,
        ("owner",),
        otherwise=answered(UNAUTHORIZED, *MACHINES),
    ),
    "updateUserSetting": Rule(
        lambda acme: {"id": acme["own setting"], "input": {"defaultOrgID": acme["organization"]}},
        Action.USER_SETTING_UPDATED,
        ("owner",),
        otherwise=UNSEEN,
    ),
    "updateBulkUserSetting": Rule(
        lambda acme: {"ids": [acme["own setting"]], "input": {"defaultOrgID": acme["organization"]}},
        Action.USER_SETTING_UPDATED,
        ("owner",),
        by_row=True,
        otherwise=answered(LEFT, NARROW, *MACHINES),
    ),
    # --- organizations
    "createOrganization": Rule(
        lambda acme: {"input": {"name": "new"}},
        Action.ORGANIZATION_CREATED,
        PEOPLE,
        otherwise=NO_PERSON,
    ),
    "createOrganizationWithMembers": Rule(
        lambda acme: {
            "organizationInput": {"name": "new", "parentID": acme["organization"]},
            "members": [{"userID": acme["stranger"], "role": "MEMBER"}],
        },
        Action.ORGANIZATION_CREATED,
        ADMINS,
        otherwise=NO_PERSON,
    ),
    "updateOrganization": Rule(
        lambda acme: {"id": acme["organization"], "input": {"displayName": "renamed"}},
        Action.ORGANIZATION_UPDATED,
        (*ADMINISTRATION, "writing machine"),
    ),
    "deleteOrganization": Rule(
        lambda acme: {"id": acme["organization"]}, Action.ORGANIZATION_DELETED, ("owner",)
    ),
    "updateOrganizationSetting": Rule(
        lambda acme: {"id": acme["setting"], "input": {"allowedEmailDomains": ["example.org"]}},
        Action.ORGANIZATION_SETTING_UPDATED,
        ADMINISTRATION,
    ),
    "updateBulkOrganizationSetting": Rule(
        lambda acme: {"ids": [acme["setting"]], "input": {"allowedEmailDomains": ["example.org"]}},
        Action.ORGANIZATION_SETTING_UPDATED,
        ADMINISTRATION,
        by_row=True,
    ),
    "transferOrganizationOwnership": Rule(
        lambda acme: {"organizationID": acme["organization"], "newOwnerID": acme["member"]},
        Action.ORGANIZATION_TRANSFERRED,
        ("owner",),
    ),
    "leaveOrganization": Rule(
        lambda acme: {"organizationID": acme["organization"]},
        Action.MEMBER_LEFT,
        ("admin", "member", "auditor"),
        otherwise=answered(VALIDATION_ERROR, "owner") | answered(UNAUTHORIZED, *MACHINES),
    ),
    # --- members: roles are people's to give, and no machine has one
    "createOrgMembership": Rule(
        lambda acme: {"input": _member(acme, "stranger")},
        Action.MEMBER_ADDED,
        ADMINS,
    ),
    "createBulkOrgMembership": Rule(
        lambda acme: {"input": [_member(acme, "stranger"), _member(acme, "another stranger")]},
        Action.MEMBER_ADDED,
        ADMINS,
        rows=2,
    ),
    "updateOrgMembership": Rule(
        lambda acme: {"id": acme["membership"], "input": {"role": "AUDITOR"}},
        Action.MEMBER_UPDATED,
        ADMINS,
    ),
    "updateBulkOrgMembership": Rule(
        lambda acme: {"ids": acme.both("membership"), "input": {"role": "AUDITOR"}},
        Action.MEMBER_UPDATED,
        ADMINS,
        rows=2,
        by_row=True,
    ),
    "deleteOrgMembership": Rule(lambda acme: {"id": acme["membership"]}, Action.MEMBER_REMOVED, ADMINS),
    "deleteBulkOrgMembership": Rule(
        lambda acme: {"ids": acme.both("membership")},
        Action.MEMBER_REMOVED,
        ADMINS,
        rows=2,
        by_row=True,
    ),
    # --- groups
    "createGroup": Rule(
        lambda acme: {"input": {"name": "new", "ownerID": acme["organization"]}},
        Action.GROUP_CREATED,
        ADMINISTRATION,
    ),
    "createGroupWithMembers": Rule(
        lambda acme: {
            "groupInput": {"name": "new", "ownerID": acme["organization"]},
            "members": [{"userID": acme["member"], "role": "ADMIN"}],
        },
        Action.GROUP_CREATED,
        ADMINISTRATION,
    ),
    "createGroupByClone": Rule(
        lambda acme: {
            "groupInput": {"name": "new", "ownerID": acme["organization"]},
            "members": [{"userID": acme["member"], "role": "ADMIN"}],
            "inheritGroupPermissions": acme["group"],
            "cloneGroupMembers": acme["group"],
        },
        Action.GROUP_CREATED,
        ADMINISTRATION,
    ),
    "createBulkGroup": Rule(
        lambda acme: {"input": [{"name": name, "ownerID": acme["organization"]} for name in "ab"]},
        Action.GROUP_CREATED,
        ADMINISTRATION,
        rows=2,
    ),
    "updateGroup": Rule(
        lambda acme: {"id": acme["group"], "input": {"description": "changed"}},
        Action.GROUP_UPDATED,
        ADMINISTRATION,
    ),
    "updateBulkGroup": Rule(
        lambda acme: {"ids": acme.both("group"), "input": {"description": "changed"}},
        Action.GROUP_UPDATED,
        ADMINISTRATION,
        rows=2,
        by_row=True,
    ),
    "deleteGroup": Rule(lambda acme: {"id": acme["group"]}, Action.GROUP_DELETED, ADMINISTRATION),
    "deleteBulkGroup": Rule(
        lambda acme: {"ids": acme.both("group")},
        Action.GROUP_DELETED,
        ADMINISTRATION,
        rows=2,
        by_row=True,
    ),
    "createGroupMembership": Rule(
        lambda acme: {"input": _place(acme, "member")}, Action.GROUP_MEMBER_ADDED, ADMINISTRATION
    ),
    "createBulkGroupMembership": Rule(
        lambda acme: {"input": [_place(acme, "member"), _place(acme, "another member")]},
        Action.GROUP_MEMBER_ADDED,
        ADMINISTRATION,
        rows=2,
    ),
    "updateGroupMembership": Rule(
        lambda acme: {"id": acme["place"], "input": {"role": "ADMIN"}},
        Action.GROUP_MEMBER_UPDATED,
        ADMINISTRATION,
    ),
    "updateBulkGroupMembership": Rule(
        lambda acme: {"ids": acme.both("place"), "input": {"role": "ADMIN"}},
        Action.GROUP_MEMBER_UPDATED,
        ADMINISTRATION,
        rows=2,
        by_row=True,
    ),
    "deleteGroupMembership": Rule(
        lambda acme: {"id": acme["place"]}, Action.GROUP_MEMBER_REMOVED, ADMINISTRATION
    ),
    "deleteBulkGroupMembership": Rule(
        lambda acme: {"ids": acme.both("place")},
        Action.GROUP_MEMBER_REMOVED,
        ADMINISTRATION,
        rows=2,
        by_row=True,
    ),
    # --- invitations: they give roles, as above
    "createInvite": Rule(
        lambda acme: {"input": _invited(acme, "a")},
        Action.INVITE_CREATED,
        ADMINS,
    ),
    "createBulkInvite": Rule(
        lambda acme: {"input": [_invited(acme, "a"), _invited(acme, "b")]},
        Action.INVITE_CREATED,
        ADMINS,
        rows=2,
    ),
    "updateInvite": Rule(
        lambda acme: {"id": acme["invite"], "input": {"role": "AUDITOR"}}, Action.INVITE_UPDATED, ADMINS
    ),
    "updateBulkInvite": Rule(
        lambda acme: {"ids": acme.both("invite"), "input": {"role": "AUDITOR"}},
        Action.INVITE_UPDATED,
        ADMINS,
        rows=2,
        by_row=True,
    ),
    "resendInvite": Rule(lambda acme: {"id": acme["invite"]}, Action.INVITE_RESENT, ADMINS),
    "deleteInvite": Rule(lambda acme: {"id": acme["invite"]}, Action.INVITE_DELETED, ADMINS),
    "deleteBulkInvite": Rule(
        lambda acme: {"ids": acme.both("invite")},
        Action.INVITE_DELETED,
        ADMINS,
        rows=2,
        by_row=True,
    ),
}

POLICY |= {
    name.replace("Bulk", "BulkCSV"): replace(rule, is_file=True)
    for name, rule in POLICY.items()
    if "Bulk" in name and not name.startswith("delete")
}
"""What is done to a list can be done by a file of the same rows, but not in a session."""


def _member(acme: Tenancy, who: str) -> dict[str, Any]:
    return {"organizationID": acme["organization"], "userID": acme[who], "role": "MEMBER"}


def _place(acme: Tenancy, who: str) -> dict[str, Any]:
    return {"groupID": acme["another group"], "userID": acme[who], "role": "MEMBER"}


def _invited(acme: Tenancy, name: str) -> dict[str, Any]:
    return {"ownerID": acme["organization"], "recipient": f"{name}@example.net", "role": "MEMBER"}
