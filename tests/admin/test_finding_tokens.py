"""Finding a token: by name, owner, hint, id or its value; by state, expiry, use and scope. In few queries."""

import functools
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from organizations.models import OrgMembership
from tests.admin.conftest import Desk, text
from tests.conftest import World
from tests.factories import SETUP, UserFactory, make_api_token, make_organization, make_personal_token
from tokens import rotation, secret, services
from tokens.authentication import person
from tokens.models import APIToken, PersonalAccessToken

API, PERSONAL = "tokens_apitoken_changelist", "tokens_personalaccesstoken_changelist"


def change_url(token: Any) -> str:
    return reverse(f"admin:tokens_{token._meta.model_name}_change", args=[token.pk])


def names(desk: Desk, page: str, **query: Any) -> set[str]:
    shown = desk.get(page, **query)
    assert shown.status_code == 200
    return {token.name for token in shown.context["cl"].result_list}


@pytest.mark.parametrize("page", [API, PERSONAL])
def test_pasting_a_token_into_either_search_leads_to_its_page(desk: Desk, world: World, page: str) -> None:
    for token in (make_api_token(world.acme), make_personal_token(world.member)):
        for pasted in (token.token, f" Authorization: Bearer {token.token}\n", f'"{token.token}",'):
            answer = desk.post(page, q=pasted)
            assert (answer.status_code, answer["Location"]) == (302, change_url(token))


@pytest.mark.parametrize("how", ["get", "post"])
def test_a_pasted_value_is_echoed_nowhere_found_or_not(
    desk: Desk, world: World, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    known, unknown = make_api_token(world.acme).token, secret.mint(secret.TokenKind.API)
    mistyped, cut = f"{known[:-1]}{'a' if known[-1] != 'a' else 'b'}", known[:-3]
    for value, told in (
        (known, None),
        (unknown, "No such token exists here"),
        (mistyped, "has a typo"),
        (cut, "cut short"),
    ):
        answer = getattr(desk, how)(API, q=value)
        assert answer.status_code == 302
        assert value not in answer["Location"]
        page = desk.client.get(answer["Location"])
        assert value not in text(page)
        assert told is None or told in text(page)
        assert value not in str(dict(desk.client.session))
        assert value not in caplog.text


@pytest.mark.parametrize("page", ["audit_event_changelist", "accounts_user_changelist", "login"])
def test_elsewhere_in_the_admin_a_token_in_a_url_is_refused_and_not_echoed(
    desk: Desk, world: World, page: str
) -> None:
    value = make_api_token(world.acme).token
    answer = desk.get(page, q=value, next=f"/admin/?q={value}")
    assert answer.status_code == 400
    assert value not in text(answer)


def test_a_revoked_and_a_deleted_token_are_found_by_value_too(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme)
    services.delete_token(SETUP, token)
    assert desk.post(API, q=token.token)["Location"] == change_url(token)


def test_other_text_becomes_an_ordinary_search_that_keeps_the_filters(desk: Desk, world: World) -> None:
    answer = desk.client.post(reverse(f"admin:{API}") + "?state=active&p=3", {"q": "nightly run"})
    assert answer["Location"] == reverse(f"admin:{API}") + "?state=active&q=nightly+run"


def test_the_search_form_posts_and_keeps_no_history(desk: Desk, world: World) -> None:
    make_api_token(world.acme)
    for page in (API, PERSONAL):
        form = text(desk.get(page)).partition('id="changelist-search"')[2].partition("</form>")[0]
        assert 'method="post"' in form
        assert 'autocomplete="off"' in form
        assert "csrfmiddlewaretoken" in form


def test_tokens_are_found_by_name_owner_hint_and_id(desk: Desk, world: World) -> None:
    mine = make_api_token(world.acme, name="nightly")
    make_api_token(world.globex, name="other")
    for asked in ("nightly", "acme", mine.hint, str(mine.pk)):
        assert names(desk, API, q=asked) == {"nightly"}
    make_personal_token(world.member, name="script")
    make_personal_token(world.admin, name="other")
    assert names(desk, PERSONAL, q="member@example.org") == {"script"}


LATER = {"pending", "rotated", "successor", "orphan"}


@pytest.fixture
def assorted(world: World) -> None:
    """A token of every sort, named after what it is."""
    now = timezone.now()
    make_api_token(world.acme, "read", name="eternal")
    make_api_token(world.acme, "control:read", "write", name="this week", expires_at=now + timedelta(days=6))
    make_api_token(world.acme, "admin:tokens", name="this month", expires_at=now + timedelta(days=29))
    make_api_token(world.acme, name="expired", expires_at=now + timedelta(days=1))
    services.revoke(SETUP, make_api_token(world.acme, name="revoked"), reason="x")
    services.delete_token(SETUP, make_api_token(world.acme, name="deleted"))
    far: dict[str, Any] = {"scopes": ["delete"], "expires_at": now + timedelta(days=99)}
    create = functools.partial(services.create_api_token, organization_id=world.acme.pk, **far)
    create(SETUP, name="pending", not_before=now + timedelta(days=1))
    rotation.rotate(SETUP, create(SETUP, name="rotated"), overlap_seconds=0)
    create(person(world.admin), name="orphan")
    OrgMembership.objects.get(user=world.admin).delete()
    set_ = APIToken.objects.filter
    set_(rotated_from__isnull=False).update(name="successor")
    set_(name__in=LATER).update(last_used_at=now)
    set_(name="expired").update(expires_at=now)
    set_(name="eternal").update(last_used_at=now, created_at=now - timedelta(days=400))
    set_(name="this week").update(last_used_at=now - timedelta(days=31), created_at=now - timedelta(days=400))
    set_(name="this month").update(created_at=now - timedelta(days=91))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"eternal", "this week", "this month", "expired", "revoked", "deleted", *LATER}),
        ({"state": "active"}, {"eternal", "this week", "this month", "successor", "orphan"}),
        ({"state": "pending"}, {"pending"}),
        ({"state": "rotated"}, {"rotated"}),
        ({"state": "expired"}, {"expired"}),
        ({"state": "revoked"}, {"revoked"}),
        ({"state": "deleted"}, {"deleted"}),
        ({"expiry": "past"}, {"expired"}),
        ({"expiry": "7"}, {"this week"}),
        ({"expiry": "30"}, {"this week", "this month"}),
        ({"expiry": "never"}, {"eternal", "revoked", "deleted"}),
        ({"use": "never"}, {"this month", "expired", "revoked", "deleted"}),
        ({"use": "30"}, {"this week", "this month"}),
        ({"use": "90"}, {"this month"}),
        ({"verb": "read"}, {"eternal", "this week"}),
        ({"verb": "write"}, {"this week"}),
        ({"verb": "delete"}, LATER),
        ({"verb": "admin"}, {"this month"}),
        ({"verb": "none"}, {"expired", "revoked", "deleted"}),
        ({"creator": "left"}, {"orphan"}),
        ({"state": "active", "use": "30", "expiry": "7"}, {"this week"}),
        ({"state": "raed", "expiry": "x", "use": "x", "verb": "x", "creator": "x"}, None),
    ],
)
def test_filters_narrow_to_what_they_say(
    desk: Desk, assorted: None, query: dict[str, str], expected: set[str] | None
) -> None:
    everything = {"eternal", "this week", "this month", "expired", "revoked", "deleted", *LATER}
    assert names(desk, API, **query) == (everything if expected is None else expected)


def test_the_filter_by_state_agrees_with_the_column(desk: Desk, assorted: None) -> None:
    now = timezone.now()
    for token in APIToken.objects.all():
        assert token.name in names(desk, API, state=token.state(now).value)


@pytest.mark.parametrize("lookup", ["digest", "digest__gte", "owner__password__startswith", "owner__email"])
def test_neither_a_digest_nor_a_password_hash_can_be_probed_by_filter(
    desk: Desk, world: World, lookup: str
) -> None:
    make_personal_token(world.member)
    assert desk.get(PERSONAL, **{lookup: "00"}).status_code == 400


@pytest.mark.parametrize("page", [API, PERSONAL])
def test_a_page_of_fifty_tokens_costs_as_many_queries_as_one_of_two(
    desk: Desk, world: World, page: str
) -> None:
    def issue(count: int) -> None:
        for _ in range(count):
            if page == API:
                make_api_token(make_organization(f"tenant {APIToken.objects.count()}", world.owner), "read")
            else:
                make_personal_token(UserFactory(), organizations=None)

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            shown = desk.get(page)
        assert shown.status_code == 200
        return len(queries)

    issue(2)
    desk.get(page)
    few = cost()
    issue(48)
    model = APIToken if page == API else PersonalAccessToken
    assert model.objects.count() == 50
    # session, operator, count with and without filters, the page
    assert cost() == few <= 5
