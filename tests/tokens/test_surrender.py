"""Whoever has a token's value can end it, by POST /v1/tokens/revoke, and learns nothing by it (RFC 7009)."""

import json
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Event
from organizations.access import Denied, holder
from organizations.models import Organization
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token
from tests.tokens.test_notices import people
from tests.tokens.test_revocation import KINDS, events_about, happened, make, row
from tokens import secret, services
from tokens.models import APIToken, NoticeKind
from tokens.secret import TokenKind

PATH = "/v1/tokens/revoke"
VIEWER = "{ viewer { id } }"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


def send(value: str, content_type: str = FORM, client: Client | None = None, **headers: str) -> HttpResponse:
    body = f"token={value}&token_type_hint=access_token" if content_type == FORM else {"token": value}
    sender = client or Client(enforce_csrf_checks=True)
    answer: HttpResponse = sender.post(PATH, body, content_type=content_type, headers=headers)
    return answer


def told(response: HttpResponse) -> tuple[int, Any]:
    return response.status_code, json.loads(response.content)


@pytest.mark.parametrize("content_type", [FORM, JSON])
@pytest.mark.parametrize("kind", KINDS)
def test_the_value_alone_revokes_its_token(world: World, query: Query, kind: str, content_type: str) -> None:
    token = make(kind, world, "read:tasks")
    assert query(VIEWER, token=token.token).status == 200

    assert told(send(token.token, content_type)) == (200, {})

    assert query(VIEWER, token=token.token).code == "TOKEN_REVOKED"
    assert row(token)["revoked_reason"] == "Revoked by its holder, from 127.0.0.1"
    assert events_about(token) == happened(token, "created", "revoked")
    event = Event.objects.latest("pk")
    assert (event.actor_kind, event.actor_id, event.token_id) == ("holder", str(token.pk), token.pk)
    assert event.subject_id == (None if kind == "API token" else world.owner.pk)
    assert event.address == "127.0.0.1"


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_time_changes_nothing_and_is_answered_alike(world: World, kind: str) -> None:
    token = make(kind, world)
    first = send(token.token)
    before, events = row(token), Event.objects.count()

    again = send(token.token, JSON)

    assert told(again) == told(first) == (200, {})
    assert row(token) == before
    assert Event.objects.count() == events


def test_an_expired_token_is_revoked_and_a_deleted_one_left_as_it_is(world: World) -> None:
    expired, deleted = make("API token", world), make("personal token", world)
    APIToken.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    services.delete_token(SETUP, deleted)
    before = row(deleted)
    assert told(send(expired.token)) == told(send(deleted.token)) == (200, {})
    assert row(expired)["revoked_at"] is not None
    assert row(deleted) == before


UNWORTHY = {
    "unknown": lambda: secret.mint(TokenKind.API),
    "with a typo": lambda: secret.mint(TokenKind.API)[:-1] + "!",
    "cut short": lambda: secret.mint(TokenKind.PERSONAL)[:-1],
    "glued": lambda: secret.mint(TokenKind.PERSONAL) + "x",
    "of others": lambda: "ghp_" + "x" * 36,
    "with a NUL": lambda: "tola_\0",
    "half a pair": lambda: "tola_\ud800",
}


@pytest.mark.parametrize("kind", UNWORTHY)
def test_a_value_that_nobody_has_is_answered_alike_and_does_nothing(world: World, kind: str) -> None:
    token = make("API token", world)
    events = Event.objects.count()
    assert told(send(UNWORTHY[kind](), JSON)) == (200, {})
    assert row(token)["revoked_at"] is None
    assert Event.objects.count() == events


def test_a_malformed_value_costs_no_query(world: World) -> None:
    with CaptureQueriesContext(connection) as queries:
        send(secret.mint(TokenKind.API)[:-1] + "!", JSON)
    assert len(queries) == 0


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("", FORM),
        ("token=", FORM),
        ("tokens=x", FORM),
        ("", JSON),
        ("{}", JSON),
        ("[]", JSON),
        ('"token"', JSON),
        ('{"token": null}', JSON),
        ('{"token": ["x"]}', JSON),
        ('{"token": ""}', JSON),
        ("[" * 100_000, JSON),
        (b"\xff", JSON),
        ("token=x", "text/plain"),
    ],
)
def test_a_body_without_a_value_is_a_bad_request(db: None, body: Any, content_type: str) -> None:
    answer = Client().post(PATH, body, content_type=content_type)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


def test_a_body_that_holds_more_than_a_value_is_not_read(db: None) -> None:
    for content_type in (FORM, JSON):
        assert Client().post(PATH, "token=" + "x" * 2_000_000, content_type=content_type).status_code == 400


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_only_post_is_answered(db: None, method: str) -> None:
    answer = getattr(Client(), method)(PATH)
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


@pytest.mark.parametrize("header", ["Basic Y2xpZW50OnNlY3JldA==", "Bearer nonsense", "Bearer {itself}"])
def test_credentials_sent_along_do_not_matter(world: World, header: str) -> None:
    """RFC 7009 clients authenticate themselves; a second call has a bearer that is dead by now."""
    token = make("API token", world)
    for _ in range(2):
        assert told(send(token.token, authorization=header.format(itself=token.token))) == (200, {})
    assert row(token)["revoked_at"] is not None


def test_a_header_is_never_taken_for_the_token_meant(world: World) -> None:
    kept, token = make("API token", world), make("API token", world)
    assert Client().post(PATH, headers={"authorization": f"Bearer {kept.token}"}).status_code == 400
    assert told(send(token.token, authorization=f"Bearer {kept.token}")) == (200, {})
    assert (row(kept)["revoked_at"], row(token)["revoked_at"] is None) == (None, False)


def test_a_value_in_the_address_is_refused_here_too(world: World) -> None:
    token = make("API token", world)
    assert Client().post(f"{PATH}?token={token.token}").status_code == 400
    assert row(token)["revoked_at"] is None


def test_the_owner_is_told_whoever_did_it(world: World) -> None:
    token = make("personal token", world)
    people()
    send(token.token)
    assert people(NoticeKind.REVOKED) == ["owner"]


def test_possession_allows_nothing_but_the_end_of_that_token(world: World) -> None:
    token, other = make_api_token(world.acme, "admin"), make_api_token(world.acme)
    somebody = holder(token)
    assert somebody.abilities == []
    for attempt in (
        lambda: services.revoke(somebody, other, reason=None),
        lambda: services.update_token(somebody, token, {"name": "mine"}),
        lambda: services.delete_token(somebody, token),
        lambda: services.create_api_token(somebody, organization_id=world.acme.pk, name="x"),
    ):
        with pytest.raises((Denied, Organization.DoesNotExist)):
            attempt()
    assert row(other)["revoked_at"] is None
