"""An open session gives nobody an admin token: once it is old, it asks for the password again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from tests.conftest import World
from tests.factories import make_api_token, make_personal_token
from tokens.models import APIToken, PersonalAccessToken

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
PASSWORD = "correct horse battery staple"
CREATE_API = (
    """mutation($input: CreateAPITokenInput!) { createAPIToken(input: $input) { apiToken { id } } }"""
)
CREATE_PERSONAL = """mutation($input: CreatePersonalAccessTokenInput!) {
  createPersonalAccessToken(input: $input) { personalAccessToken { id } }
}"""
UPDATE_API = """mutation($id: ID!, $input: UpdateAPITokenInput!) {
  updateAPIToken(id: $id, input: $input) { apiToken { scopes name } }
}"""


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def browser(world: World, clock: Any) -> Client:
    client = Client()
    log_in(client)
    return client


def log_in(client: Client) -> None:
    given = {"email": "owner@example.org", "password": PASSWORD}
    assert client.post("/v1/login", given, content_type="application/json").status_code == 200


def send(client: Client, document: str, **variables: Any) -> str | None:
    """The code of the refusal."""
    sent = {"query": document, "variables": variables}
    errors = client.post("/query", sent, content_type="application/json").json().get("errors")
    return errors[0]["extensions"]["code"] if errors else None


ADMINISTRATIVE = [
    (CREATE_API, {"name": "x", "scopes": ["admin"]}),
    (CREATE_API, {"name": "x", "scopes": ["read", "api_token:admin"]}),
    (CREATE_PERSONAL, {"name": "x", "scopes": ["admin:integrations"]}),
    (CREATE_PERSONAL, {"name": "x"}),
]


@pytest.mark.parametrize(("document", "given"), ADMINISTRATIVE, ids=str)
def test_an_old_session_issues_an_admin_token_after_another_log_in(
    browser: Client, clock: Any, document: str, given: dict[str, Any]
) -> None:
    clock.shift(timedelta(minutes=60))

    assert send(browser, document, input=given) == "STEP_UP_REQUIRED"
    assert not APIToken.objects.exists()
    assert not PersonalAccessToken.objects.exists()
    log_in(browser)
    assert send(browser, document, input=given) is None


@pytest.mark.parametrize(("document", "given"), ADMINISTRATIVE, ids=str)
def test_a_fresh_session_issues_one(
    browser: Client, clock: Any, document: str, given: dict[str, Any]
) -> None:
    clock.shift(timedelta(minutes=60) - timedelta(seconds=1))

    assert send(browser, document, input=given) is None


def test_an_old_session_does_all_else_with_tokens(world: World, browser: Client, clock: Any) -> None:
    token = make_api_token(world.acme, "read", "admin:tokens")
    clock.shift(timedelta(days=1))

    assert send(browser, CREATE_API, input={"name": "x", "scopes": ["read"]}) is None
    assert send(browser, UPDATE_API, id=str(token.pk), input={"name": "renamed"}) is None
    assert send(browser, UPDATE_API, id=str(token.pk), input={"isActive": False}) is None


def test_an_old_session_widens_no_token_to_an_admin(world: World, browser: Client, clock: Any) -> None:
    token = make_api_token(world.acme, "read", expires_at=NOON + timedelta(days=9))
    clock.shift(timedelta(days=1))

    def update(**given: Any) -> str | None:
        return send(browser, UPDATE_API, id=str(token.pk), input=given)

    assert update(appendScopes=["admin:tokens"]) == "STEP_UP_REQUIRED"
    assert update(appendScopes=["write:tasks"]) is None
    log_in(browser)
    assert update(appendScopes=["admin:tokens"]) is None
    clock.shift(timedelta(days=1))
    assert update(clearExpiresAt=True) == "STEP_UP_REQUIRED"


def test_a_token_shows_who_it_is_at_each_request_and_needs_no_step(world: World, clock: Any) -> None:
    token = make_personal_token(world.owner).token
    clock.shift(timedelta(days=30))

    headers = {"authorization": f"Bearer {token}"}
    sent = {"query": CREATE_API, "variables": {"input": {"name": "x", "scopes": ["admin"]}}}
    answer = Client().post("/query", sent, content_type="application/json", headers=headers)
    assert "errors" not in answer.json()
