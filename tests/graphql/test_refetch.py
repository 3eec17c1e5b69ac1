"""`node` and `nodes`: whatever one may see, by its id alone; whatever one may not, as if it did not exist."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from audit.models import Event
from config.graphql.registry import NODES
from config.schema import schema
from organizations import services as organizations
from organizations.invitations import invite
from organizations.models import Organization, OrgMembership
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tokens import services
from tokens.models import PersonalAccessToken
from tokens.policies import update_policy

NODE = "query($id: ID!) { node(id: $id) { __typename id } }"
NODES_BY_ID = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
DETAILED = """
query($ids: [ID!]!) {
  nodes(ids: $ids) {
    __typename id
    ... on APIToken { token name ...Owned recentIPAddresses { address } }
    ... on PersonalAccessToken {
      token abilities person: owner { email }
      organizations { totalCount edges { node { name } } }
    }
    ... on Organization { name members { edges { node { role user { email } } } } }
    ... on User { email }
  }
}
fragment Owned on APIToken { owner { name } }
"""

TYPES = [node.name for node in NODES.values() if node.name in schema._schema.type_map]
PERSONAL = {"PersonalAccessToken", "UserSetting"}
"""A person's own: nobody else sees them."""
SHARED = set(TYPES) - PERSONAL
OF_THE_ORGANIZATION = {"Organization", "OrganizationSetting", "TokenPolicy"}


@dataclass
class Tenant:
    """A row of each type, by the name of its type, all of one organization."""

    rows: dict[str, models.Model]
    personal: PersonalAccessToken

    def id(self, kind: str) -> str:
        return str(self.rows[kind].pk)

    @property
    def ids(self) -> list[str]:
        return [self.id(kind) for kind in self.rows]


def tenant(organization: Organization, person: User) -> Tenant:
    group = organizations.create_group(SETUP, organization_id=organization.pk, name="security")
    personal = make_personal_token(person, name="mine")
    rows: list[models.Model] = [
        organization,
        organization.setting,
        person,
        person.setting,
        OrgMembership.objects.get(organization=organization, user=person),
        group,
        invite(SETUP, organization_id=organization.pk, recipient="somebody@example.net"),
        organizations.add_to_group(SETUP, group, person.pk),
        make_api_token(organization, "read"),
        update_policy(SETUP, organization.pk, {"expiry_required_mode": "REPORT_ONLY"})[0],
        personal,
        Event.objects.filter(organization_id=organization.pk).latest("id"),
    ]
    return Tenant({type(row).__name__: row for row in rows if type(row).__name__ in TYPES}, personal)


@pytest.fixture
def acme(world: World) -> Tenant:
    return tenant(world.acme, world.owner)


@pytest.fixture
def globex(world: World) -> Tenant:
    return tenant(world.globex, world.outsider)


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_there_is_answers_to_its_id(acme: Tenant, query: Query, kind: str) -> None:
    answer = query(NODE, {"id": acme.id(kind)}, token=acme.personal.token)

    assert answer.data == {"node": {"__typename": kind, "id": acme.id(kind)}}


@pytest.mark.parametrize("kind", TYPES)
def test_an_id_of_another_organization_is_answered_like_one_of_nothing(
    acme: Tenant, globex: Tenant, query: Query, kind: str
) -> None:
    token = acme.personal.token
    foreign, nothing = (query(NODE, {"id": key}, token=token) for key in (globex.id(kind), str(uuid4())))

    assert foreign.body == nothing.body
    assert foreign.body["data"] == {"node": None}
    assert (foreign.code, foreign.error["message"], foreign.error["path"]) == (
        "NOT_FOUND",
        "node not found",
        ["node"],
    )


@pytest.mark.parametrize(
    "key",
    ["", "x", "🦉", "00000000-0000-0000-0000-000000000000", "' OR 1=1 --", "1", "acme", "7" * 10_000],
    ids=lambda key: key[:20],
)
def test_what_is_no_id_is_found_nowhere_and_asks_the_database_nothing(
    acme: Tenant, query: Query, key: str
) -> None:
    with CaptureQueriesContext(connection) as captured:
        answer = query(NODE, {"id": key}, token=acme.personal.token)

    assert (answer.code, answer.body["data"]) == ("NOT_FOUND", {"node": None})
    assert len(captured) == 1  # the token


def test_what_is_deleted_is_gone(acme: Tenant, query: Query) -> None:
    services.delete_token(SETUP, acme.rows["APIToken"])  # type: ignore[arg-type]
    another = make_personal_token(acme.personal.owner)
    services.delete_token(SETUP, another)

    for key in (acme.id("APIToken"), str(another.pk)):
        assert query(NODE, {"id": key}, token=acme.personal.token).code == "NOT_FOUND"


def test_the_tokens_of_a_deleted_organization_are_gone_with_it(
    world: World, acme: Tenant, globex: Tenant, query: Query
) -> None:
    token = make_personal_token(world.both).token
    organizations.delete_organization(SETUP, world.globex)

    for kind in ("Organization", "OrgMembership", "Group", "APIToken"):
        assert query(NODE, {"id": globex.id(kind)}, token=token).code == "NOT_FOUND"


# --- who sees what -----------------------------------------------------------------------------------


def seen(query: Query, there: Tenant, **who: Any) -> set[str]:
    """The types whose row in a tenant this caller sees, the same through both fields."""
    listed = query(NODES_BY_ID, {"ids": there.ids}, **who).data["nodes"]
    found = {node["__typename"] for node in listed if node is not None}
    alone = {kind for kind in there.rows if query(NODE, {"id": there.id(kind)}, **who).code is None}
    assert alone == found
    return found


def test_people_see_what_their_roles_let_them_list(world: World, acme: Tenant, query: Query) -> None:
    of_managers = {"APIToken", "Event"}

    assert seen(query, acme, token=acme.personal.token) == set(TYPES)
    for person, expected in (
        (world.admin, SHARED),
        (world.auditor, SHARED),
        (world.member, SHARED - of_managers),
        (world.outsider, set()),
    ):
        assert seen(query, acme, token=make_personal_token(person).token) == expected, person


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ((), set()),
        (("read:tasks",), set()),
        (("read:organization",), OF_THE_ORGANIZATION),
        (("read:members",), {"User", "OrgMembership", "Invite"}),
        (("read:groups",), {"Group", "GroupMembership"}),
        (("read:tokens",), {"APIToken"}),
        (("read:events",), {"Event"}),
        (("api_token:read", "read:organization"), {"APIToken"} | OF_THE_ORGANIZATION),
        (("read",), SHARED),
    ],
    ids=lambda value: ",".join(sorted(value)) or "nothing",
)
def test_a_machine_sees_what_its_scopes_name(
    world: World, acme: Tenant, query: Query, scopes: tuple[str, ...], expected: set[str]
) -> None:
    assert seen(query, acme, token=make_api_token(world.acme, *scopes).token) == expected & SHARED


def test_a_narrow_personal_token_sees_no_more_than_the_lists_do(
    world: World, acme: Tenant, query: Query
) -> None:
    narrow = make_personal_token(world.owner, "read:tasks").token
    tokens = make_personal_token(world.owner, "read:tokens").token

    assert seen(query, acme, token=narrow) <= {"UserSetting"}
    assert query("{ organizations { totalCount } }", token=narrow).code == "INSUFFICIENT_SCOPES"
    assert seen(query, acme, token=tokens) - {"UserSetting"} == {"APIToken", "PersonalAccessToken"}


def test_a_token_bound_to_one_organization_sees_no_other(
    world: World, acme: Tenant, globex: Tenant, query: Query
) -> None:
    bound = make_personal_token(world.both, organizations=[world.acme.pk]).token
    free = make_personal_token(world.both).token

    assert "Organization" in seen(query, acme, token=bound)
    assert seen(query, globex, token=bound) == set()
    assert "Organization" in seen(query, globex, token=free)
    header = {"X-Organization-ID": str(world.acme.pk)}
    assert query(NODE, {"id": globex.id("Organization")}, token=free, **header).code == "NOT_FOUND"


# --- many at once ------------------------------------------------------------------------------------


def test_nodes_come_in_the_order_asked_for_with_null_for_what_is_not_there(
    acme: Tenant, globex: Tenant, query: Query
) -> None:
    token, known = acme.personal.token, acme.ids
    asked = [known[3], str(uuid4()), known[0], globex.ids[0], known[3], "x", *reversed(known)]

    nodes = query(NODES_BY_ID, {"ids": asked}, token=token).data["nodes"]

    assert [node and node["id"] for node in nodes] == [key if key in known else None for key in asked]


def test_an_id_in_another_spelling_is_the_same_id(acme: Tenant, query: Query) -> None:
    key = acme.id("APIToken")

    nodes = query(NODES_BY_ID, {"ids": [key.upper(), key]}, token=acme.personal.token).data["nodes"]

    assert nodes == [{"__typename": "APIToken", "id": key}] * 2


@pytest.mark.parametrize("ids", [[], [""] * 100], ids=["none", "nothing"])
def test_nodes_of_nothing_are_nothing(acme: Tenant, query: Query, ids: list[str]) -> None:
    nodes = query(NODES_BY_ID, {"ids": ids}, token=acme.personal.token).data["nodes"]

    assert nodes == [None] * len(ids)


def test_more_than_100_ids_are_refused_rather_than_cut(acme: Tenant, query: Query) -> None:
    token = acme.personal.token
    most = query(NODES_BY_ID, {"ids": acme.ids[:1] * 100}, token=token)
    more = query(NODES_BY_ID, {"ids": acme.ids[:1] * 101}, token=token)

    assert len(most.data["nodes"]) == 100
    assert (more.code, more.body["data"]) == ("BAD_REQUEST", None)
    assert "At most 100 ids" in more.error["message"]


def test_what_hangs_on_nodes_is_counted_as_often_as_there_may_be_nodes(acme: Tenant, query: Query) -> None:
    key, token = acme.id("Organization"), acme.personal.token
    members = "members { edges { node { organization { members { edges { node { id } } } } } } }"
    of_organizations = f"{{ ... on Organization {{ {members} }} }}"

    def asked(document: str, **variables: Any) -> str | None:
        return query(f"{document} {of_organizations} }}", variables, token=token).code

    assert asked("query($id: ID!) { node(id: $id)", id=key) is None
    assert asked(f'{{ nodes(ids: ["{key}"])') is None
    assert asked("query($ids: [ID!]!) { nodes(ids: $ids)", ids=[key]) == "BAD_REQUEST"
    assert asked(f"{{ nodes(ids: {json.dumps([key] * 100)})") == "BAD_REQUEST"


# --- what is selected --------------------------------------------------------------------------------


def test_fragments_load_what_they_select_of_their_own_type(acme: Tenant, query: Query) -> None:
    kinds = ["APIToken", "PersonalAccessToken", "Organization", "User", "Event"]

    nodes = query(DETAILED, {"ids": [acme.id(kind) for kind in kinds]}, token=acme.personal.token).data[
        "nodes"
    ]

    machine, personal, organization, person, event = nodes
    assert [node["__typename"] for node in nodes] == kinds
    assert (machine["token"], machine["name"], machine["owner"]) == ("*" * 29, "machine", {"name": "acme"})
    assert machine["recentIPAddresses"] == []
    assert (personal["token"], personal["person"]) == ("*" * 29, {"email": "owner@example.org"})
    assert personal["organizations"] == {"totalCount": 1, "edges": [{"node": {"name": "acme"}}]}
    assert "read" in personal["abilities"]
    assert len(organization["members"]["edges"]) == 5
    assert person == {"__typename": "User", "id": acme.id("User"), "email": "owner@example.org"}
    assert event.keys() == {"__typename", "id"}


def test_a_node_is_two_queries_and_a_hundred_are_no_more_per_type(
    world: World, acme: Tenant, query: Query
) -> None:
    tokens = [make_api_token(world.acme, "read") for _ in range(98)]
    asking = acme.personal

    with CaptureQueriesContext(connection) as one:
        query(
            "query($id: ID!) { node(id: $id) { ... on APIToken { name owner { name } } } }",
            {"id": str(tokens[0].pk)},
            token=asking.token,
        )
    with CaptureQueriesContext(connection) as many:
        ids = [str(token.pk) for token in tokens] + [acme.id("Organization"), str(asking.pk)]
        nodes = query(DETAILED, {"ids": ids}, token=asking.token).data["nodes"]

    # 1 the token that asks   2 which types have the id   3 the row with its owner
    assert len(one) == 3
    assert all(nodes)
    # 1 the token that asks   2 which types have the ids
    # 3 the organization   4 its members with the people they are
    # 5 the API tokens with their owner   6 their recent addresses
    # 7 the personal token with its owner   8 how it stands   9 its organizations   10 how many
    assert len(many) == 10
