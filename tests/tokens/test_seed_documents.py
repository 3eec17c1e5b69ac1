"""Every GraphQL document of the two seed documents, word for word, against the endpoint."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.conftest import Query, World
from tests.factories import make_api_token, make_personal_token

LIST_PERSONAL = """
query GetPersonalAccessTokens($first: Int, $where: PersonalAccessTokenWhereInput) {
personalAccessTokens(first: $first, where: $where) {
pageInfo {
hasNextPage
hasPreviousPage
startCursor
endCursor
}
totalCount
edges {
node {
id
name
description
scopes
isActive
expiresAt
lastUsedAt
createdAt
abilities
usageCount
owner {
id
firstName
lastName
email
}
}
}
}
}
"""

CREATE_PERSONAL = """
mutation CreatePersonalAccessToken($input: CreatePersonalAccessTokenInput!) {
createPersonalAccessToken(input: $input) {
personalAccessToken {
id
name
token
description
scopes
expiresAt
isActive
createdAt
abilities
}
}
}
"""

UPDATE_PERSONAL = """
mutation UpdatePersonalAccessToken($id: ID!, $input: UpdatePersonalAccessTokenInput!) {
updatePersonalAccessToken(id: $id, input: $input) {
personalAccessToken {
id
name
description
scopes
isActive
expiresAt
updatedAt
}
}
}
"""

REVOKE_PERSONAL = """
mutation RevokePersonalAccessToken($id: ID!) {
updatePersonalAccessToken(id: $id, input: { isActive: false }) {
personalAccessToken {
id
name
isActive
updatedAt
}
}
}
"""

LIST_API = """
query GetAPITokens($first: Int, $where: APITokenWhereInput) {
apiTokens(first: $first, where: $where) {
edges {
node {
id
name
description
scopes
isActive
expiresAt
lastUsedAt
createdAt
revokedReason
revokedBy
owner {
id
name
}
}
}
pageInfo {
hasNextPage
hasPreviousPage
startCursor
endCursor
}
totalCount
}
}
"""

CREATE_API = """
mutation CreateAPIToken($input: CreateAPITokenInput!) {
createAPIToken(input: $input) {
apiToken {
id
name
token
description
scopes
expiresAt
isActive
createdAt
}
}
}
"""

UPDATE_API = """
mutation UpdateAPIToken($id: ID!, $input: UpdateAPITokenInput!) {
updateAPIToken(id: $id, input: $input) {
apiToken {
id
name
isActive
revokedReason
revokedBy
updatedAt
}
}
}
"""

DELETE_API = """
mutation DeleteAPIToken($id: ID!) {
deleteAPIToken(id: $id) {
deletedID
}
}
"""


@pytest.fixture
def owner_token(world: World) -> str:
    return make_personal_token(world.owner).token


def test_the_personal_tokens_are_listed_with_their_owner_and_abilities(
    world: World, query: Query, owner_token: str
) -> None:
    answer = query(LIST_PERSONAL, {"first": 10, "where": {"isActive": True}}, token=owner_token)

    page = answer.data["personalAccessTokens"]
    node = page["edges"][0]["node"]
    assert page["totalCount"] == 1
    assert page["pageInfo"]["hasNextPage"] is False
    assert node["owner"]["email"] == world.owner.email
    assert "admin" in node["abilities"]
    assert node["description"] is None


def test_the_seeds_input_makes_a_working_token_of_which_the_value_is_shown_once(
    world: World, query: Query, owner_token: str
) -> None:
    expires_at = (timezone.now() + timedelta(days=90)).replace(microsecond=0)
    answer = query(
        CREATE_PERSONAL,
        {
            "input": {
                "name": "Development Tools Integration",
                "description": "Token for local development environment and CLI tools",
                "scopes": ["read", "write"],
                "expiresAt": expires_at.isoformat().replace("+00:00", "Z"),
            }
        },
        token=owner_token,
    )

    made = answer.data["createPersonalAccessToken"]["personalAccessToken"]
    assert made["token"].startswith("tolp_")
    assert made["scopes"] == ["read", "write"]
    assert made["expiresAt"] == expires_at.isoformat().replace("+00:00", "Z")
    assert query("{ me { id } }", token=made["token"]).data["me"]["id"] == str(world.owner.pk)
    shown = query(LIST_PERSONAL.replace("usageCount", "usageCount token"), {}, token=owner_token)
    assert {edge["node"]["token"] for edge in shown.data["personalAccessTokens"]["edges"]} == {"*" * 29}


def test_a_rename_leaves_everything_else_as_it_was(world: World, query: Query, owner_token: str) -> None:
    token = make_personal_token(world.owner, "read:tasks", description="kept")

    answer = query(UPDATE_PERSONAL, {"id": str(token.pk), "input": {"name": "renamed"}}, token=owner_token)

    changed = answer.data["updatePersonalAccessToken"]["personalAccessToken"]
    assert changed["name"] == "renamed"
    assert changed["scopes"] == ["read:tasks"]
    assert changed["description"] == "kept"


def test_a_revoked_personal_token_is_refused_on_the_very_next_request(
    world: World, query: Query, owner_token: str
) -> None:
    token = make_personal_token(world.owner)

    answer = query(REVOKE_PERSONAL, {"id": str(token.pk)}, token=owner_token)

    assert answer.data["updatePersonalAccessToken"]["personalAccessToken"]["isActive"] is False
    refused = query("{ me { id } }", token=token.token)
    assert (refused.status, refused.code) == (401, "TOKEN_REVOKED")


def test_api_tokens_are_created_listed_revoked_with_a_reason_and_deleted(
    world: World, query: Query, owner_token: str
) -> None:
    made = query(CREATE_API, {"input": {"name": "ci", "scopes": ["read"]}}, token=owner_token)
    token = made.data["createAPIToken"]["apiToken"]
    assert token["token"].startswith("tola_")

    listed = query(LIST_API, {"first": 5, "where": {"name": "ci"}}, token=owner_token)
    node = listed.data["apiTokens"]["edges"][0]["node"]
    assert (node["owner"]["name"], node["revokedBy"]) == ("acme", None)

    revoked = query(
        UPDATE_API,
        {"id": token["id"], "input": {"isActive": False, "revokedReason": "leaked"}},
        token=owner_token,
    ).data["updateAPIToken"]["apiToken"]
    assert revoked["isActive"] is False
    assert (revoked["revokedReason"], revoked["revokedBy"]) == ("leaked", str(world.owner.pk))

    deleted = query(DELETE_API, {"id": token["id"]}, token=owner_token)
    assert deleted.data["deleteAPIToken"]["deletedID"] == token["id"]
    assert query(LIST_API, {}, token=owner_token).data["apiTokens"]["totalCount"] == 0


def test_an_api_token_acts_in_its_own_organization(world: World, query: Query) -> None:
    make_api_token(world.globex, "read", name="theirs")
    ours = make_api_token(world.acme, "read", name="ours")

    answer = query(LIST_API, {}, token=ours.token)

    assert [edge["node"]["name"] for edge in answer.data["apiTokens"]["edges"]] == ["ours"]
