"""How many statements a request takes: the same for one row and for a hundred. Each is listed."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from organizations import services as organizations
from organizations.invitations import invite
from organizations.models import Group
from tests.conftest import Query, World
from tests.factories import SETUP, UserFactory, join, make_api_token, make_personal_token
from tokens import services

Statements = Callable[[str], list[str]]


@pytest.fixture
def statements(world: World, query: Query) -> Statements:
    """The SQL of a document that the owner of acme sends, the credential's SELECT first."""
    token = make_personal_token(world.owner, name="asking").token
    query("{ me { id } }", token=token)  # what is compiled once is compiled

    def sent(document: str) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            answer = query(document, token=token)
        assert answer.data
        return [one["sql"] for one in captured.captured_queries]

    return sent


def join_many(world: World, count: int) -> list[User]:
    return [join(UserFactory(), world.acme) for _ in range(count)]


def test_a_page_of_api_tokens_with_owner_and_count(world: World, statements: Statements) -> None:
    for _ in range(100):
        make_api_token(world.acme, "read")
    document = """
    { apiTokens(first: 100) {
      totalCount
      edges { node {
        id name description scopes isActive expiresAt lastUsedAt createdAt abilities owner { id name }
      } }
    } }
    """
    # 1 the credential  2 the count  3 the tokens joined with their owners  4 how each of them stands
    assert len(statements(document)) == 4
    assert len(statements(document.replace("abilities", ""))) == 3


@pytest.mark.parametrize("count", [1, 20])
def test_personal_tokens_with_all_that_hangs_on_them(
    world: World, statements: Statements, count: int
) -> None:
    for number in range(count):
        chosen = None if number % 2 else [world.acme.pk]
        token = make_personal_token(world.owner, "read", organizations=chosen)
        services.update_token(SETUP, token, {"description": "changed"})
    document = """
    { personalAccessTokens {
      totalCount
      edges { node {
        name abilities status { state } organizationStatuses { reason }
        recentIPAddresses { address count } owner { email }
        organizations(first: 2) { totalCount edges { node { name } } }
        events(first: 3) { totalCount pageInfo { hasNextPage } edges { node { action } } }
      } }
    } }
    """
    # 1 the credential  2 the count  3 the tokens joined with their owner
    # 4 how each of them stands, wherever it reaches  5 their addresses
    # 6, 7 the organizations: count and rows  8, 9 the events: count and rows
    assert len(statements(document)) == 9


@pytest.mark.parametrize("count", [1, 20])
def test_memberships_with_user_and_organization(world: World, statements: Statements, count: int) -> None:
    join_many(world, count)
    document = "{ orgMemberships { edges { node { role user { email } organization { name } } } } }"
    # 1 the credential  2 the memberships joined with the people and the organization
    assert len(statements(document)) == 2


@pytest.mark.parametrize("count", [1, 20])
def test_groups_with_members_and_who_they_are(world: World, statements: Statements, count: int) -> None:
    people = join_many(world, count)
    for number in range(count):
        made = organizations.create_group(SETUP, organization_id=world.acme.pk, name=f"group {number}")
        for person in people[: number + 1]:
            organizations.add_to_group(SETUP, Group.objects.get(pk=made.pk), person.pk)
    document = (
        "{ groups { edges { node { name members(first: 5) { edges { node { user { email } } } } } } } }"
    )
    # 1 the credential  2 the groups  3 the members of each, joined with the people
    assert len(statements(document)) == 3


@pytest.mark.parametrize("count", [1, 20])
def test_users(world: World, statements: Statements, count: int) -> None:
    join_many(world, count)
    document = "{ users { totalCount edges { node { email displayName } } } }"
    # 1 the credential  2 the count  3 the people one may see
    assert len(statements(document)) == 3


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        # 1 the credential  2 the people  then what is named, each once
        ("setting { status }", 3),
        ("setting { status user { email } }", 3),  # ... joined with their person
        ("setting { status user { email setting { locked } } }", 5),
        ("organizations { edges { node { name } } }", 3),
        ("orgMemberships { edges { node { role organization { name } } } }", 3),
        ("groups { edges { node { name owner { name } } } }", 3),
        ("groupMemberships { edges { node { group { name } } } }", 3),
        ("personalAccessTokens { edges { node { name } } }", 3),
        ("events { edges { node { action } } }", 3),
        (
            "organizations(first: 5) { edges { node { setting { id } users { edges { node { id } } } } } }",
            5,
        ),
        ("organizations { edges { node { apiTokens { totalCount } events { totalCount } } } }", 5),
        (
            "organizations(first: 5) { edges { node { personalAccessTokens { edges { node { name } } } } } }",
            4,
        ),
        (
            "groups(first: 5) { edges { node { users(first: 5) { edges { node { setting { id } } } } } } }",
            5,
        ),
    ],
    ids=lambda value: str(value).replace("edges { node ", ""),
)
def test_each_level_below_people_is_one_query(
    world: World, statements: Statements, count: int, selection: str, expected: int
) -> None:
    people = join_many(world, count)
    group = organizations.create_group(SETUP, organization_id=world.acme.pk, name="group")
    for person in people:
        organizations.add_to_group(SETUP, group, person.pk)
        make_personal_token(person)

    found = statements(f"{{ users {{ edges {{ node {{ {selection} }} }} }} }}")

    assert len(found) == expected


@pytest.mark.parametrize("count", [1, 20])
def test_events_below_what_they_are_about(world: World, statements: Statements, count: int) -> None:
    group = organizations.create_group(SETUP, organization_id=world.acme.pk, name="group")
    for number, person in enumerate(join_many(world, count)):
        organizations.add_to_group(SETUP, group, person.pk)
        invite(SETUP, organization_id=world.acme.pk, recipient=f"new{number}@example.net")
    events = "events { edges { node { action } } }"

    # 1 the credential  2 the rows  3 their events
    assert len(statements(f"{{ orgMemberships {{ edges {{ node {{ {events} }} }} }} }}")) == 3
    assert len(statements(f"{{ groupMemberships {{ edges {{ node {{ {events} }} }} }} }}")) == 3
    # ... 4 their groups
    groups = "groups { edges { node { name } } }"
    assert len(statements(f"{{ invites {{ edges {{ node {{ {events} {groups} }} }} }} }}")) == 4


@pytest.mark.parametrize("count", [1, 20])
def test_what_hangs_on_the_same_owner_is_loaded_once(
    world: World, statements: Statements, count: int
) -> None:
    for _ in range(count):
        make_api_token(world.acme)
    document = "{ apiTokens { edges { node { owner { members { totalCount edges { node { role } } } } } } } }"
    # 1 the credential  2 the tokens joined with their owner  3, 4 its members: count and rows
    assert len(statements(document)) == 4


def test_oneself_is_who_was_authenticated(statements: Statements) -> None:
    # 1 the credential
    assert len(statements("{ me { id email displayName } self { id } viewer { kind abilities } }")) == 1


def test_each_alias_is_a_request_of_its_own(world: World, statements: Statements) -> None:
    make_api_token(world.acme)
    # 1 the credential  2 the first tokens  3 the others
    page = "edges { node { id } }"
    assert (
        len(statements(f'{{ a: apiTokens {{ {page} }} b: apiTokens(where: {{name: "x"}}) {{ {page} }} }}'))
        == 3
    )


def test_only_what_is_selected_is_loaded(world: World, statements: Statements) -> None:
    make_api_token(world.acme)

    names = statements("{ apiTokens { edges { node { name } } } }")[-1]
    fragments = statements(
        "{ apiTokens { ...P } } fragment P on APITokenConnection { edges { node { ... { name } ...T } } } "
        "fragment T on APIToken { owner { displayName } }"
    )[-1]

    assert '"name"' in names
    for hidden in ("description", "digest", "scopes", "sso_authorizations", "display_name"):
        assert f'"{hidden}"' not in names
    assert '"organizations_organization"."display_name"' in fragments
    assert '"organizations_organization"."description"' not in fragments


def test_no_read_writes(world: World, statements: Statements) -> None:
    make_api_token(world.acme)
    found = statements(
        "{ apiTokens { totalCount edges { node { id owner { id } } } } me { id } scopes { name } }"
    )

    assert [sql.split()[0] for sql in found] == ["SELECT"] * len(found)
