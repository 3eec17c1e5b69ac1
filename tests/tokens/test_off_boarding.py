"""Who leaves takes their tokens along: at once, and for good. What they made for the organization stays."""

from uuid import UUID

import pytest

from organizations import services as organizations
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tokens import services
from tokens.authentication import person
from tokens.models import PersonalAccessToken

VIEWER = "{ viewer { organizations { name } } }"


def reached(token: PersonalAccessToken, query: Query) -> list[str]:
    answer = query(VIEWER, token=token.token).data["viewer"]["organizations"]
    return sorted(one["name"] for one in answer)


def leave_and_return(world: World) -> None:
    membership = world.acme.members.get(user=world.both)
    organizations.remove_member(SETUP, membership)
    organizations.add_member(SETUP, organization_id=world.acme.pk, user_id=world.both.pk, role="MEMBER")


@pytest.mark.parametrize("is_bound", [False, True])
def test_joining_again_does_not_revive_what_a_token_was_trusted_with(
    world: World, query: Query, is_bound: bool
) -> None:
    chosen: list[UUID] | None = [world.acme.pk, world.globex.pk] if is_bound else None
    token = make_personal_token(world.both, organizations=chosen)
    leave_and_return(world)
    later = make_personal_token(world.both)

    assert reached(token, query) == ["globex"]
    assert reached(later, query) == ["acme", "globex"]
    services.update_token(person(world.both), token, {"add_organization_ids": [world.acme.pk]})
    assert reached(token, query) == ["acme", "globex"]


def test_a_token_does_not_let_itself_in_again(world: World, query: Query) -> None:
    token = make_personal_token(world.both)
    leave_and_return(world)
    document = """mutation($id: ID!, $to: [ID!]) {
      updatePersonalAccessToken(id: $id, input: {addOrganizationIDs: $to}) { personalAccessToken { id } }
    }"""

    answer = query(document, {"id": str(token.pk), "to": [str(world.acme.pk)]}, token=token.token)

    assert answer.code in ("UNAUTHORIZED", "NOT_FOUND")
    assert reached(token, query) == ["globex"]


def test_what_a_token_shows_it_reaches_is_what_it_reaches(world: World, query: Query) -> None:
    make_personal_token(world.both)
    leave_and_return(world)
    document = """{ personalAccessTokens { edges { node {
        organizations { edges { node { name } } } organizationStatuses { state organizationID }
    } } } }"""

    (edge,) = query(document, user=world.both).data["personalAccessTokens"]["edges"]

    assert [one["node"]["name"] for one in edge["node"]["organizations"]["edges"]] == ["globex"]
    assert edge["node"]["organizationStatuses"] == [
        {"state": "ACTIVE", "organizationID": str(world.globex.pk)}
    ]


def test_an_api_token_whose_creator_left_works_and_is_listed(world: World, query: Query) -> None:
    made = services.create_api_token(
        person(world.admin), organization_id=world.acme.pk, name="made by the admin", scopes=["read"]
    )
    make_api_token(world.acme, "read", name="made by a command")
    document = (
        "query($is: Boolean) { apiTokens(where: {orphaned: $is}) { edges { node { name orphaned } } } }"
    )

    def listed(is_orphaned: bool) -> list[str]:
        edges = query(document, {"is": is_orphaned}, user=world.owner).data["apiTokens"]["edges"]
        assert all(edge["node"]["orphaned"] is is_orphaned for edge in edges)
        return [edge["node"]["name"] for edge in edges]

    assert listed(True) == []
    organizations.remove_member(SETUP, world.acme.members.get(user=world.admin))
    assert listed(True) == ["made by the admin"]
    assert listed(False) == ["made by a command"]
    assert query(VIEWER, token=made.token).status == 200
