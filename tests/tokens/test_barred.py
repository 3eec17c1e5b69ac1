"""Where an organization's policy bars a personal token: nothing of it is shown, and each way in tells why."""

from typing import Any

import pytest

from organizations import services as organizations
from organizations.models import Organization
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tests.organizations.people import holder_of
from tests.tokens.test_escalation import CREATE_API
from tokens import policies
from tokens.models import APIToken, Token

WHY = "acme: Personal tokens are not accepted here."


@pytest.fixture
def barred(world: World) -> Token:
    """A token of somebody who owns two organizations, of which acme takes no personal ones any more."""
    organizations.create_organization(SETUP, name="initech", owner_id=world.owner.pk)
    token = make_personal_token(world.owner, "admin")
    demand_machines(world.acme)
    return token


def demand_machines(organization: Organization) -> None:
    policies.update_policy(
        SETUP, organization.pk, {"allowed_kinds_mode": "ENFORCE", "allowed_kinds": ["API"]}
    )


def test_to_name_it_is_to_be_told_why_not(world: World, query: Query, barred: Token) -> None:
    answer = query("{ viewer { id } }", token=barred.token, **{"x-organization-id": str(world.acme.pk)})

    assert (answer.status, answer.code, answer.error["message"]) == (403, "POLICY_REFUSED", WHY)


def test_a_token_of_it_is_not_issued_and_the_refusal_is_the_policys(
    world: World, query: Query, barred: Token
) -> None:
    answer = query(CREATE_API, {"input": {"name": "x", "ownerID": str(world.acme.pk)}}, token=barred.token)

    assert (answer.code, answer.error["message"]) == ("POLICY_REFUSED", WHY)
    assert not APIToken.objects.exists()


def test_what_is_in_it_is_not_there(world: World, query: Query, barred: Token) -> None:
    machine = make_api_token(world.acme, "read")
    ids = {"ids": [str(machine.pk), str(world.acme.pk)]}

    def code(document: str, **variables: Any) -> str | None:
        return query(document, variables, token=barred.token).code

    answer = query("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids, token=barred.token)
    assert answer.body["data"]["nodes"] == [None, None]
    assert code("query($id: ID!) { apiToken(id: $id) { id } }", id=str(machine.pk)) == "NOT_FOUND"
    assert code("query($id: ID!) { organization(id: $id) { id } }", id=str(world.acme.pk)) == "NOT_FOUND"
    listed = query("{ organizations { edges { node { name } } } }", token=barred.token)
    assert [edge["node"]["name"] for edge in listed.data["organizations"]["edges"]] == ["initech"]


def test_nothing_in_it_is_changed(world: World, query: Query, barred: Token) -> None:
    machine = make_api_token(world.acme, "read")
    document = """mutation($id: ID!) { rotateAPIToken(id: $id, input: {}) { apiToken { id } } }"""

    assert query(document, {"id": str(machine.pk)}, token=barred.token).code == "NOT_FOUND"
    assert APIToken.objects.count() == 1


def test_the_policy_of_a_deleted_organization_binds_nobody(world: World) -> None:
    initech = organizations.create_organization(SETUP, name="initech", owner_id=world.owner.pk)
    demand_machines(initech)
    organizations.delete_organization(SETUP, initech)

    token = make_personal_token(world.owner)

    assert (holder_of(token).organization_ids, dict(holder_of(token).barred)) == ((world.acme.pk,), {})
