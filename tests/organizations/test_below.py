"""What hangs below organizations, people, groups and invitations: shown, and searched by, as one sees it."""

from typing import Any

import pytest

from accounts.models import User
from config.graphql.nodes import Many
from config.graphql.registry import NODES
from config.schema import Mutation  # noqa: F401 (and so every type)
from organizations import services
from organizations.access import Grant, Kind, Principal
from organizations.invitations import invite
from organizations.models import Group, Organization
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token


@pytest.fixture
def security(world: World) -> Group:
    """acme's group, whose only member is the auditor; made by the set-up, to which somebody is invited."""
    group = services.create_group(
        SETUP, organization_id=world.acme.pk, name="security", members=[(world.auditor.pk, "MEMBER")]
    )
    invite(SETUP, organization_id=world.acme.pk, recipient="new@example.net", group_ids=[group.pk])
    services.create_group(
        SETUP, organization_id=world.globex.pk, name="theirs", members=[(world.both.pk, "MEMBER")]
    )
    return group


def shown(connection: dict[str, Any], key: str) -> list[Any]:
    return [edge["node"][key] for edge in connection["edges"]]


def found(query: Query, kind: str, where: dict[str, Any], token: str, key: str = "name") -> list[Any]:
    root = f"{kind[0].lower()}{kind[1:]}s"
    document = f"""query($where: {kind}WhereInput) {{
        {root}(where: $where) {{ edges {{ node {{ {key} }} }} }} }}"""
    return shown(query(document, {"where": where}, token=token).data[root], key)


ORGANIZATIONS = """{ organizations { edges { node {
    name setting { organizationID tags } users { edges { node { email } } }
    groups { edges { node { name } } } apiTokens { totalCount edges { node { name } } }
    personalAccessTokens { edges { node { name } } }
    events { totalCount edges { node { organizationID } } } } } } }"""


def below(world: World, query: Query, token: str) -> dict[str, Any]:
    """Of acme."""
    nodes = [edge["node"] for edge in query(ORGANIZATIONS, token=token).data["organizations"]["edges"]]
    return next(node for node in nodes if node["name"] == "acme")


def test_an_owner_sees_all_of_their_organization(world: World, security: Group, query: Query) -> None:
    make_api_token(world.acme, name="machine")
    make_api_token(world.globex, name="theirs")
    asking = make_personal_token(world.owner, name="asking").token
    make_personal_token(world.member, name="a colleague's")

    acme = below(world, query, asking)

    assert acme["setting"] == {"organizationID": str(world.acme.pk), "tags": []}
    people = ("owner", "admin", "member", "auditor", "both")
    assert sorted(shown(acme["users"], "email")) == sorted(f"{name}@example.org" for name in people)
    assert shown(acme["groups"], "name") == ["security"]
    assert acme["apiTokens"] == {"totalCount": 1, "edges": [{"node": {"name": "machine"}}]}
    assert shown(acme["personalAccessTokens"], "name") == ["asking"]
    assert set(shown(acme["events"], "organizationID")) == {str(world.acme.pk)}


NARROW = {
    "read:organization": {"setting"},
    "read:organization read:members": {"setting", "users"},
    "read:organization read:groups": {"setting", "groups"},
    "read:organization read:tokens": {"setting", "apiTokens", "personalAccessTokens"},
    "read:organization read:events": {"setting", "events"},
}


@pytest.mark.parametrize("scopes", NARROW)
def test_a_token_sees_below_an_organization_what_its_scopes_would_list(
    world: World, security: Group, query: Query, scopes: str
) -> None:
    make_api_token(world.acme)
    token = make_personal_token(world.owner, *scopes.split()).token

    acme = below(world, query, token)

    seen = {key for key, value in acme.items() if key != "name" and value and value.get("edges") != []}
    assert seen == NARROW[scopes]
    assert (acme["apiTokens"]["totalCount"], acme["events"]["totalCount"] > 0) == (
        int("read:tokens" in scopes),
        "read:events" in scopes,
    )


def test_a_member_sees_no_tokens_and_no_trail_of_the_organization(world: World, query: Query) -> None:
    make_api_token(world.acme)

    acme = below(world, query, make_personal_token(world.member, name="mine").token)

    assert (acme["apiTokens"]["totalCount"], acme["setting"] is None) == (0, False)
    assert shown(acme["personalAccessTokens"], "name") == ["mine"]
    assert acme["events"]["totalCount"] == 1  # of that token


def test_a_token_of_some_organizations_hangs_below_those_alone(world: World, query: Query) -> None:
    make_personal_token(world.both, name="of globex", organizations=[world.globex.pk])
    token = make_personal_token(world.both, name="of all").token

    nodes = query(ORGANIZATIONS, token=token).data["organizations"]["edges"]

    told = {edge["node"]["name"]: shown(edge["node"]["personalAccessTokens"], "name") for edge in nodes}
    assert told == {"acme": ["of all"], "globex": ["of globex", "of all"]}


PERSON = """query($id: ID!) { user(id: $id) {
    role setting { userID status } organizations { edges { node { name } } }
    orgMemberships { edges { node { role ssoExempt additionalRoles tfaEnforcedAt } } }
    groups { edges { node { name } } } groupMemberships { edges { node { role } } }
    personalAccessTokens { edges { node { name } } } events { edges { node { action } } } } }"""


def test_of_others_one_sees_what_one_shares(world: World, security: Group, query: Query) -> None:
    make_personal_token(world.both, name="theirs")

    of_both, of_auditor = (
        query(PERSON, {"id": str(user.pk)}, token=make_personal_token(world.owner).token).data["user"]
        for user in (world.both, world.auditor)
    )

    assert of_both["setting"] is None
    assert shown(of_both["organizations"], "name") == ["acme"]  # and not globex
    assert of_both["orgMemberships"]["edges"] == [
        {"node": {"role": "MEMBER", "ssoExempt": None, "additionalRoles": None, "tfaEnforcedAt": None}}
    ]
    empty: dict[str, list[Any]] = {"edges": []}
    assert (of_both["groups"], of_both["groupMemberships"]) == (empty, empty)
    assert (of_both["personalAccessTokens"], of_both["role"]) == (empty, None)
    assert shown(of_auditor["groups"], "name") == ["security"]
    assert shown(of_auditor["groupMemberships"], "role") == ["MEMBER"]


def test_of_oneself_one_sees_everything(world: World, security: Group, query: Query) -> None:
    token = make_personal_token(world.both, name="mine").token
    document = PERSON.replace("query($id: ID!) ", "").replace("user(id: $id)", "me")

    me = query(document, token=token).data["me"]

    assert me["setting"] == {"userID": str(world.both.pk), "status": "ACTIVE"}
    assert shown(me["organizations"], "name") == ["acme", "globex"]
    assert shown(me["groups"], "name") == ["theirs"]
    assert shown(me["personalAccessTokens"], "name") == ["mine"]


def test_who_shares_another_organization_is_not_told_by_it(world: World) -> None:
    """Who reads members in globex alone sees `both` there, and does not learn that they are in acme, too."""
    grants = {
        world.acme.pk: Grant(frozenset({"read:organization"})),
        world.globex.pk: Grant(frozenset({"read:organization", "read:members"})),
    }
    principal = Principal(Kind.API_TOKEN, id="", label="", grants=grants)
    places = [world.acme, world.globex]

    users, organizations = NODES[Organization].sources["users"], NODES[User].sources["organizations"]
    assert isinstance(users, Many)
    assert isinstance(organizations, Many)

    seen = users.visible_to(principal, places).values_list("email", "parent_key")
    assert set(seen) == {(user.email, world.globex.pk) for user in (world.outsider, world.both)}
    assert list(organizations.visible_to(principal, [world.both])) == [world.globex]


def test_a_token_that_lists_no_organizations_sees_none_below_people(world: World, query: Query) -> None:
    document = "{ users { edges { node { organizations { totalCount edges { node { name } } } } } } }"
    token = make_personal_token(world.owner, "read:members").token

    users = query(document, token=token).data["users"]["edges"]

    assert len(users) == 5
    assert all(user["node"]["organizations"] == {"totalCount": 0, "edges": []} for user in users)


def test_events_hang_below_what_they_are_about(world: World, security: Group, query: Query) -> None:
    token = make_personal_token(world.owner).token
    document = """{ groups(first: 5) { edges { node { events { edges { node { action } } }
        users { edges { node { email } } } } } }
        invites { edges { node { groups { edges { node { name } } } events { edges { node { action } } } } } }
        orgMemberships { edges { node { events { edges { node { action } } } } } } }"""

    answer = query(document, token=token).data

    group, sent = answer["groups"]["edges"][0]["node"], answer["invites"]["edges"][0]["node"]
    assert shown(group["events"], "action") == ["group.created"]
    assert shown(group["users"], "email") == ["auditor@example.org"]
    assert (shown(sent["groups"], "name"), shown(sent["events"], "action")) == (
        ["security"],
        ["invite.created"],
    )
    added = [shown(edge["node"]["events"], "action") for edge in answer["orgMemberships"]["edges"]]
    assert added == [[], *[["member.added"]] * 4]  # the owner came with the organization


WHERE: list[tuple[str, dict[str, Any], list[str]]] = [
    ("Organization", {"hasMembersWith": [{"role": "AUDITOR"}]}, ["acme"]),
    ("Organization", {"hasUsersWith": [{"email": "auditor@example.org"}]}, ["acme"]),
    ("Organization", {"hasUsersWith": [{"email": "outsider@example.org"}]}, []),
    ("Organization", {"hasSettingWith": [{"identityProvider": "NONE"}]}, ["acme"]),
    ("Organization", {"hasSetting": False}, []),
    ("Organization", {"hasAPITokens": True}, ["acme"]),
    ("Organization", {"hasAPITokensWith": [{"name": "machine"}]}, ["acme"]),
    ("Organization", {"hasPersonalAccessTokensWith": [{"name": "asking"}]}, ["acme"]),
    ("Organization", {"hasPersonalAccessTokensWith": [{"name": "a colleague's"}]}, []),
    ("Organization", {"hasEventsWith": [{"action": "group.created"}]}, ["acme"]),
    ("Organization", {"hasGroupsWith": [{"name": "theirs"}]}, []),
    ("Organization", {"hasParent": True}, []),
    ("Group", {"hasOwnerWith": [{"name": "acme"}]}, ["security"]),
    ("Group", {"hasMembersWith": [{"role": "MEMBER"}]}, ["security"]),
    ("Group", {"hasUsersWith": [{"email": "owner@example.org"}]}, []),
    ("Group", {"hasEvents": True}, ["security"]),
    ("User", {"hasGroupsWith": [{"name": "security"}]}, ["auditor@example.org"]),
    ("User", {"hasGroupsWith": [{"name": "theirs"}]}, []),
    ("User", {"hasGroupMemberships": True}, ["auditor@example.org"]),
    ("User", {"hasOrgMembershipsWith": [{"role": "OWNER"}]}, ["owner@example.org"]),
    ("User", {"hasOrganizationsWith": [{"name": "globex"}]}, []),
    ("User", {"hasSettingWith": [{"status": "ACTIVE"}]}, ["owner@example.org"]),
    ("User", {"hasPersonalAccessTokens": True}, ["owner@example.org"]),
    ("Invite", {"hasGroupsWith": [{"name": "security"}]}, ["new@example.net"]),
    ("Invite", {"hasOwner": True, "hasEventsWith": [{"action": "invite.created"}]}, ["new@example.net"]),
    ("GroupMembership", {"userID": "{auditor}"}, ["MEMBER"]),
    ("GroupMembership", {"userID": "{owner}"}, []),
    ("GroupMembership", {"groupID": "no id"}, []),
    ("OrgMembership", {"organizationID": "{acme}", "userID": "{owner}"}, ["OWNER"]),
    ("OrgMembership", {"organizationID": "{globex}"}, []),
    ("OrgMembership", {"ssoExemptIsNil": True, "userID": "{owner}"}, ["OWNER"]),
    ("OrgMembership", {"ssoExempt": True}, []),
    ("OrgMembership", {"tfaEnforcedAtGT": "2020-01-01T00:00:00Z"}, []),
]
KEYS = {"User": "email", "Invite": "recipient", "GroupMembership": "role", "OrgMembership": "role"}


@pytest.mark.parametrize(("kind", "where", "expected"), WHERE, ids=str)
def test_rows_are_found_by_what_one_sees_below_them(
    world: World, security: Group, query: Query, kind: str, where: dict[str, Any], expected: list[str]
) -> None:
    make_api_token(world.acme, name="machine")
    make_personal_token(world.both, name="a colleague's")
    token = make_personal_token(world.owner, name="asking").token
    ids = {
        "owner": world.owner.pk,
        "auditor": world.auditor.pk,
        "acme": world.acme.pk,
        "globex": world.globex.pk,
    }
    asked = {key: value.format(**ids) if isinstance(value, str) else value for key, value in where.items()}

    assert found(query, kind, asked, token, KEYS.get(kind, "name")) == expected


def test_what_one_may_not_list_one_cannot_search_by(world: World, query: Query) -> None:
    make_api_token(world.acme, name="machine")
    token = make_personal_token(world.owner, "read:organization").token

    for where in ({"hasAPITokens": True}, {"hasUsers": True}, {"hasEvents": True}, {"hasGroups": True}):
        assert found(query, "Organization", where, token) == []


def test_who_may_read_groups_and_not_members_sees_nobody_in_them(world: World, query: Query) -> None:
    """The people are joined only for who may read them too."""
    group = services.create_group(SETUP, organization_id=world.acme.pk, name="security")
    services.add_to_group(SETUP, group, world.member.pk)
    document = "{ groupMemberships { edges { node { user { email } group { name } } } } }"

    def people(*scopes: str) -> list[Any]:
        token = make_api_token(world.acme, *scopes).token
        return [
            edge["node"]["user"] for edge in query(document, token=token).data["groupMemberships"]["edges"]
        ]

    assert people("read:groups", "read:members") == [{"email": "member@example.org"}]
    assert query(document, token=make_api_token(world.acme, "read:groups").token).body["data"] in (
        None,
        {"groupMemberships": {"edges": [{"node": None}]}},
    )
