"""Organizations, members, groups, invitations and settings, as the published schema's clients send them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.models import User
from audit.models import Event
from organizations.models import GroupMembership, Organization, OrgMembership, Role
from tests.conftest import Answer, Query, World
from tests.factories import UserFactory, join, make_api_token, make_personal_token

Ask = Callable[..., Answer]


@pytest.fixture
def ask(query: Query) -> Ask:
    """ask(user, document, **variables), with a personal token of theirs."""

    def send(user: User, document: str, **variables: Any) -> Answer:
        return query(document, variables, token=make_personal_token(user).token)

    return send


CREATE = """mutation($input: CreateOrganizationInput!) { createOrganization(input: $input) {
    organization { id name displayName personalOrg members { edges { node { role user { email } } } } } } }"""


def test_whoever_creates_an_organization_owns_it_and_sees_it_in_the_answer(world: World, ask: Ask) -> None:
    made = ask(world.member, CREATE, input={"name": "initech"}).data["createOrganization"]["organization"]

    assert (made["name"], made["displayName"], made["personalOrg"]) == ("initech", "initech", False)
    assert [edge["node"] for edge in made["members"]["edges"]] == [
        {"role": "OWNER", "user": {"email": world.member.email}}
    ]


def test_an_organization_can_be_founded_together_with_its_people(world: World, ask: Ask) -> None:
    document = """mutation($o: CreateOrganizationInput!, $m: [OrgMembersInput!]) {
        createOrganizationWithMembers(organizationInput: $o, members: $m) { organization { id } } }"""
    people = [{"userID": str(world.admin.pk), "role": "ADMIN"}, {"userID": str(world.member.pk)}]

    answer = ask(world.owner, document, o={"name": "initech"}, m=people)

    organization_id = answer.data["createOrganizationWithMembers"]["organization"]["id"]
    roles = OrgMembership.objects.filter(organization=organization_id).values_list("user__email", "role")
    assert dict(roles) == {
        world.owner.email: "OWNER",
        world.admin.email: "ADMIN",
        world.member.email: "MEMBER",
    }


def test_an_api_token_founds_nothing(world: World, query: Query) -> None:
    token = make_api_token(world.acme, "admin")

    answer = query(CREATE, {"input": {"name": "initech"}}, token=token.token)

    assert answer.code == "UNAUTHORIZED"
    assert not Organization.objects.filter(name="initech").exists()


UPDATE = """mutation($id: ID!, $input: UpdateOrganizationInput!) {
    updateOrganization(id: $id, input: $input) { organization { displayName tags } } }"""
DELETE = "mutation($id: ID!) { deleteOrganization(id: $id) { deletedID } }"


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("owner", None),
        ("admin", None),
        ("member", "UNAUTHORIZED"),
        ("auditor", "UNAUTHORIZED"),
        ("both", "UNAUTHORIZED"),
        ("outsider", "NOT_FOUND"),
    ],
)
def test_owner_and_admin_change_the_organization(world: World, ask: Ask, who: str, code: str | None) -> None:
    change = {"displayName": "Acme!", "appendTags": ["a"]}

    answer = ask(getattr(world, who), UPDATE, id=str(world.acme.pk), input=change)

    assert answer.code == code
    if code is None:
        assert answer.data["updateOrganization"]["organization"] == {"displayName": "Acme!", "tags": ["a"]}


@pytest.mark.parametrize(
    ("who", "code"),
    [("owner", None), ("admin", "UNAUTHORIZED"), ("member", "UNAUTHORIZED"), ("outsider", "NOT_FOUND")],
)
def test_only_the_owner_deletes_it_and_its_tokens_die(
    world: World, ask: Ask, query: Query, who: str, code: str | None
) -> None:
    token = make_api_token(world.acme, "read")

    assert ask(getattr(world, who), DELETE, id=str(world.acme.pk)).code == code

    assert query("{ viewer { id } }", token=token.token).status == (401 if code is None else 200)


def test_ownership_is_handed_over(world: World, ask: Ask) -> None:
    document = """mutation($o: ID!, $n: ID!) {
        transferOrganizationOwnership(organizationID: $o, newOwnerID: $n) { organization { name } } }"""

    answer = ask(world.owner, document, o=str(world.acme.pk), n=str(world.admin.pk))

    assert answer.data
    assert world.acme.members.get(user=world.admin).role == Role.OWNER
    assert world.acme.members.get(user=world.owner).role == Role.ADMIN


def test_a_member_leaves_and_the_last_owner_cannot(world: World, ask: Ask) -> None:
    document = "mutation($o: ID!) { leaveOrganization(organizationID: $o) { deletedID } }"

    assert ask(world.owner, document, o=str(world.acme.pk)).code == "VALIDATION_ERROR"
    assert ask(world.member, document, o=str(world.acme.pk)).data["leaveOrganization"]["deletedID"]
    assert not world.acme.members.filter(user=world.member).exists()


SETTING = """{ organizationSettings { edges { node {
    id allowedEmailDomains identityProvider identityProviderLoginEnforced organization { name } } } } }"""
CONFIGURE = """mutation($id: ID!, $input: UpdateOrganizationSettingInput!) {
    updateOrganizationSetting(id: $id, input: $input) {
        organizationSetting { allowedEmailDomains identityProviderClientID } } }"""


def test_members_read_the_settings_and_admins_write_them(world: World, ask: Ask) -> None:
    found = ask(world.member, SETTING).data["organizationSettings"]["edges"][0]["node"]
    assert found["organization"] == {"name": "acme"}
    change = {"allowedEmailDomains": ["example.org"], "identityProviderClientID": "tollgate"}

    refused = ask(world.member, CONFIGURE, id=found["id"], input=change)
    changed = ask(world.admin, CONFIGURE, id=found["id"], input=change)

    assert refused.code == "UNAUTHORIZED"
    assert changed.data["updateOrganizationSetting"]["organizationSetting"] == change


def test_the_client_secret_is_written_and_never_read(world: World, ask: Ask) -> None:
    setting = world.acme.setting
    change = {"identityProviderClientSecret": "a-secret-of-the-provider"}

    changed = ask(world.owner, CONFIGURE, id=str(setting.pk), input=change)

    assert changed.data
    asked = "{ organizationSettings { totalCount edges { node { identityProviderClientSecret } } } }"
    found = ask(world.owner, asked).data["organizationSettings"]
    assert found == {"totalCount": 1, "edges": [{"node": {"identityProviderClientSecret": None}}]}
    guessed = asked.replace("Settings {", 'Settings(where: {identityProviderClientSecretHasPrefix: "a"}) {')
    assert ask(world.owner, guessed).data["organizationSettings"]["totalCount"] == 0
    told = str(list(Event.objects.values_list("changes", flat=True)))
    assert "a-secret-of-the-provider" not in told


def test_members_are_added_changed_and_removed_each_with_one_event(world: World, ask: Ask) -> None:
    add = """mutation($input: CreateOrgMembershipInput!) { createOrgMembership(input: $input) {
        orgMembership { id role user { email } } } }"""
    change = """mutation($id: ID!, $input: UpdateOrgMembershipInput!) {
        updateOrgMembership(id: $id, input: $input) { orgMembership { role } } }"""
    remove = "mutation($id: ID!) { deleteOrgMembership(id: $id) { deletedID } }"
    both = world.both  # of globex too, and so visible there
    world.acme.members.filter(user=both).delete()
    insider = ask(world.outsider, "{ users { edges { node { id email } } } }")
    assert both.email in str(insider.body)
    newcomer = UserFactory()
    unseen = ask(world.owner, add, input={"organizationID": str(world.acme.pk), "userID": str(newcomer.pk)})
    assert unseen.code == "NOT_FOUND"

    membership = str(world.acme.members.get(user=world.member).pk)
    before = Event.objects.count()
    changed = ask(world.owner, change, id=membership, input={"role": "AUDITOR"})
    assert changed.data["updateOrgMembership"]["orgMembership"] == {"role": "AUDITOR"}
    removed = ask(world.owner, remove, id=membership)
    assert removed.data["deleteOrgMembership"]["deletedID"] == membership
    of_members = Event.objects.filter(action__startswith="member.").order_by("-id")[:2]
    assert [event.action for event in of_members] == ["member.removed", "member.updated"]
    assert Event.objects.count() == before + 2 + 2  # and the two tokens made to ask


def test_nobody_raises_another_above_their_own_role(world: World, ask: Ask) -> None:
    change = """mutation($id: ID!) { updateOrgMembership(id: $id, input: { role: OWNER }) {
        orgMembership { role } } }"""
    membership = world.acme.members.get(user=world.member)

    assert ask(world.admin, change, id=str(membership.pk)).code == "UNAUTHORIZED"
    membership.refresh_from_db()
    assert membership.role == Role.MEMBER


def test_a_group_and_its_members_give_scopes(world: World, ask: Ask) -> None:
    create = """mutation($g: CreateGroupInput!, $m: [GroupMembersInput!]) {
        createGroupWithMembers(groupInput: $g, members: $m) {
            group { id name displayID scopes members { edges { node { id role user { email } } } } } } }"""

    made = ask(
        world.owner,
        create,
        g={"name": "watchers", "scopes": ["read:events"]},
        m=[{"userID": str(world.member.pk), "role": "ADMIN"}],
    ).data["createGroupWithMembers"]["group"]

    member = made["members"]["edges"][0]["node"]
    assert made["scopes"] == ["read:events"]
    assert (member["role"], member["user"]["email"]) == ("ADMIN", world.member.email)
    abilities = ask(world.member, "{ viewer { abilities } }").data["viewer"]["abilities"]
    assert "read:events" in abilities
    remove = "mutation($id: ID!) { deleteGroupMembership(id: $id) { deletedID } }"
    assert ask(world.owner, remove, id=member["id"]).data
    assert not GroupMembership.objects.exists()


def test_somebody_is_invited_and_the_link_is_told_to_nobody_else(
    world: World, ask: Ask, mailoutbox: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    invite = """mutation($input: CreateInviteInput!) { createInvite(input: $input) {
        invite { id recipient role status sendAttempts expires owner { name } } } }"""

    with django_capture_on_commit_callbacks(execute=True):
        answer = ask(world.admin, invite, input={"recipient": "New@example.org", "role": "AUDITOR"})

    made = answer.data["createInvite"]["invite"]
    assert (made["recipient"], made["role"], made["status"]) == (
        "new@example.org",
        "AUDITOR",
        "INVITATION_SENT",
    )
    assert made["owner"] == {"name": "acme"}
    assert [mail.to for mail in mailoutbox] == [["new@example.org"]]
    assert "/invite/" in mailoutbox[0].body
    withdraw = "mutation($id: ID!) { deleteInvite(id: $id) { deletedID } }"
    assert ask(world.member, withdraw, id=made["id"]).code == "UNAUTHORIZED"
    assert ask(world.admin, withdraw, id=made["id"]).data["deleteInvite"]["deletedID"] == made["id"]


def test_people_change_their_own_profile_and_settings_and_nobody_elses(world: World, ask: Ask) -> None:
    profile = """mutation($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) {
        user { firstName displayName } } }"""
    change = {"firstName": "Ada", "displayName": "Ada L."}
    settings = "{ userSettings { edges { node { id status defaultOrg { name } } } } }"
    prefer = """mutation($id: ID!, $input: UpdateUserSettingInput!) {
        updateUserSetting(id: $id, input: $input) { userSetting { defaultOrg { name } } } }"""

    own = ask(world.member, profile, id=str(world.member.pk), input=change)
    foreign = ask(world.owner, profile, id=str(world.member.pk), input=change)
    mine = ask(world.both, settings).data["userSettings"]["edges"]
    chosen = ask(world.both, prefer, id=mine[0]["node"]["id"], input={"defaultOrgID": str(world.globex.pk)})

    assert own.data["updateUser"]["user"] == change
    assert foreign.code == "UNAUTHORIZED"
    assert len(mine) == 1
    assert chosen.data["updateUserSetting"]["userSetting"]["defaultOrg"] == {"name": "globex"}


def test_the_answer_says_when_the_token_expires(world: World, query: Query) -> None:
    token = make_personal_token(world.member, expires_at=datetime(2090, 1, 1, tzinfo=UTC))

    assert query("{ me { id } }", token=token.token).headers["Token-Expires-At"] == "2090-01-01T00:00:00Z"


def test_many_are_invited_at_once_or_none(world: World, ask: Ask) -> None:
    document = """mutation($input: [CreateInviteInput!]) { createBulkInvite(input: $input) {
        invites { recipient } } }"""
    good, bad = {"recipient": "one@example.org"}, {"recipient": "no address"}

    refused = ask(world.owner, document, input=[good, bad])
    sent = ask(world.owner, document, input=[good, {"recipient": "two@example.org"}])

    assert refused.code == "VALIDATION_ERROR"
    assert sent.data["createBulkInvite"]["invites"] == [
        {"recipient": "one@example.org"},
        {"recipient": "two@example.org"},
    ]


def test_many_members_are_demoted_at_once_and_the_last_owner_is_left(world: World, ask: Ask) -> None:
    document = """mutation($ids: [ID!]!) { updateBulkOrgMembership(ids: $ids, input: { role: MEMBER }) {
        updatedIDs notUpdatedIDs error } }"""
    members = world.acme.members
    ids = [str(members.get(user=user).pk) for user in (world.admin, world.owner)]

    answer = ask(world.owner, document, ids=ids).data["updateBulkOrgMembership"]

    assert answer == {
        "updatedIDs": ids[:1],
        "notUpdatedIDs": ids[1:],
        "error": "BULK_ACTION_INCOMPLETELY_APPLIED",
    }


def test_an_invitation_goes_out_from_the_organization_it_names(world: World, ask: Ask) -> None:
    """Somebody in two organizations must name one."""
    document = "mutation($i: CreateInviteInput!) { createInvite(input: $i) { invite { owner { name } } } }"
    join(world.owner, world.globex, Role.ADMIN)

    for organization in (world.acme, world.globex):
        answer = ask(
            world.owner, document, i={"recipient": "new@example.net", "ownerID": str(organization.pk)}
        )
        assert answer.data["createInvite"]["invite"]["owner"] == {"name": organization.name}
