"""People log in with a session that holds for GraphQL from our pages; me, self and viewer say who asks."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from accounts import services
from accounts.models import User
from organizations.scopes import CATALOGUE
from tests.conftest import Query, World
from tests.factories import SETUP, UserFactory, make_api_token, make_personal_token

PASSWORD = "correct horse battery staple"
ME = "{ me { id email } self { id email } }"
VIEWER = "{ viewer { kind id label organizations { id name } scopes abilities expiresAt } }"


class Browser:
    """A client that checks CSRF as a browser would meet it."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True)

    @property
    def has_session(self) -> bool:
        return settings.SESSION_COOKIE_NAME in self.client.cookies

    def form_token(self, page: str = "/login/") -> str:
        """The CSRF token that the page's form has; the cookie is not for scripts."""
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.client.get(page).text)
        assert found is not None
        return found[1]

    def log_in(self, email: str, password: str = PASSWORD) -> HttpResponse:
        given = {"username": email, "password": password, "csrfmiddlewaretoken": self.form_token()}
        return self.client.post("/login/", given)

    def ask(self, document: str = ME, kind: str = "application/json", **headers: str) -> HttpResponse:
        return self.client.post("/query", json.dumps({"query": document}), kind, headers=headers)


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def logged_in(world: World, browser: Browser) -> Browser:
    assert browser.log_in("member@example.org").status_code == 302
    return browser


# --- the form ----------------------------------------------------------------------------------------


def test_a_log_in_by_form_begins_a_session(world: World, browser: Browser) -> None:
    assert browser.ask().status_code == 401

    response = browser.log_in("member@example.org")

    assert (response.status_code, response["Location"]) == (302, "/")
    assert browser.has_session


def test_a_form_from_elsewhere_logs_nobody_in(world: World, browser: Browser) -> None:
    given = {"username": "member@example.org", "password": PASSWORD}

    assert browser.client.post("/login/", given).status_code == 403
    assert browser.client.post("/login/", given | {"csrfmiddlewaretoken": "x" * 64}).status_code == 403
    assert not browser.has_session


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("member@example.org", "wrong"),
        ("member@example.org", ""),
        ("member@example.org", PASSWORD.upper()),
        ("member@example.org", f" {PASSWORD}"),
        ("nobody@example.org", PASSWORD),
        ("", ""),
        ("member@example.org\x00", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
    ],
)
def test_whoever_does_not_know_the_password_gets_no_session(
    world: World, browser: Browser, email: str, password: str
) -> None:
    assert browser.log_in(email, password).status_code == 200
    assert not browser.has_session
    assert browser.ask().status_code == 401


def test_the_session_is_a_new_one_at_each_log_in(world: World, browser: Browser) -> None:
    """Whoever planted a session in a browser beforehand does not share the one that is logged in."""
    browser.log_in("member@example.org")
    first = browser.client.cookies[settings.SESSION_COOKIE_NAME].value
    browser.log_in("admin@example.org")
    second = browser.client.cookies[settings.SESSION_COOKIE_NAME].value

    assert first != second
    browser.client.cookies[settings.SESSION_COOKIE_NAME] = first
    assert browser.ask().status_code == 401


def test_neither_cookie_is_for_scripts(logged_in: Browser) -> None:
    for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
        cookie = logged_in.client.cookies[name]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"


# --- GraphQL with a session --------------------------------------------------------------------------


def test_a_session_asks_with_the_csrf_token_of_a_page_of_ours(logged_in: Browser) -> None:
    answer = logged_in.ask(**{"x-csrftoken": logged_in.form_token()})

    assert answer.status_code == 200
    assert answer.json()["data"]["me"]["email"] == "member@example.org"


@pytest.mark.parametrize(
    ("kind", "headers", "status"),
    [
        ("application/json", {}, 403),
        ("application/json", {"x-csrftoken": "x" * 64}, 403),
        ("application/json", {"x-csrftoken": "mine", "origin": "https://elsewhere.example"}, 403),
        ("application/json", {"x-csrftoken": "mine", "origin": "null"}, 403),
        ("application/json", {"x-csrftoken": "mine", "origin": "http://testserver"}, 200),
        ("text/plain", {"x-csrftoken": "mine"}, 415),
        ("text/plain", {}, 403),
        ("application/x-www-form-urlencoded", {"x-csrftoken": "mine"}, 415),
        ("multipart/form-data; boundary=x", {"x-csrftoken": "mine"}, 415),
    ],
)
def test_a_foreign_page_cannot_use_a_session(
    logged_in: Browser, kind: str, headers: dict[str, str], status: int
) -> None:
    mine = logged_in.form_token()
    sent = {name: mine if value == "mine" else value for name, value in headers.items()}
    mutation = 'mutation { createPersonalAccessToken(input: {name: "x"}) { personalAccessToken { id } } }'

    answer = logged_in.ask(mutation, kind, **sent)

    assert answer.status_code == status
    assert User.objects.get(email="member@example.org").personal_access_tokens.exists() is (status == 200)
    if status != 200:
        (error,) = answer.json()["errors"]
        assert error["extensions"]["code"] == "BAD_REQUEST"


def test_a_link_asks_nothing(logged_in: Browser) -> None:
    answer = logged_in.client.get("/query", {"query": ME})

    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_a_bearer_token_needs_no_csrf_token_and_no_origin(world: World, browser: Browser) -> None:
    bearer = {"authorization": f"Bearer {make_personal_token(world.member).token}"}

    assert browser.ask(**bearer).status_code == 200
    assert browser.ask(**bearer, origin="https://elsewhere.example").status_code == 200


def test_a_csrf_token_without_a_session_is_no_credential(world: World, browser: Browser) -> None:
    answer = browser.ask(**{"x-csrftoken": browser.form_token()})

    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


# --- how a session ends ------------------------------------------------------------------------------


def still_in(browser: Browser) -> bool:
    return browser.ask(**{"x-csrftoken": browser.form_token()}).status_code == 200


def test_a_log_out_ends_it(logged_in: Browser) -> None:
    cookie = logged_in.client.cookies[settings.SESSION_COOKIE_NAME].value
    token = logged_in.form_token()

    logged_in.client.post("/logout/", {"csrfmiddlewaretoken": token})

    assert not still_in(logged_in)
    logged_in.client.cookies[settings.SESSION_COOKIE_NAME] = cookie
    assert not still_in(logged_in)


def test_a_deactivation_ends_it_at_the_next_request(world: World, logged_in: Browser) -> None:
    assert still_in(logged_in)

    services.deactivate(SETUP, world.member)

    assert not still_in(logged_in)
    assert Browser().log_in("member@example.org").status_code == 200  # the form again


def test_a_new_password_ends_it(world: World, logged_in: Browser) -> None:
    services.set_password(SETUP, world.member, "an entirely different one 1")

    assert not still_in(logged_in)
    assert logged_in.log_in("member@example.org").status_code == 200
    assert logged_in.log_in("member@example.org", "an entirely different one 1").status_code == 302


# --- who is asking -----------------------------------------------------------------------------------


@pytest.mark.parametrize("credential", ["session", "personal token"])
def test_me_and_self_are_the_person_who_asks(world: World, query: Query, credential: str) -> None:
    token = make_personal_token(world.both, "read:tasks").token
    asking: dict[str, Any] = {"user": world.both} if credential == "session" else {"token": token}

    person = {"id": str(world.both.pk), "email": "both@example.org"}
    assert query(ME, **asking).data == {"me": person, "self": person}


@pytest.mark.parametrize("name", ["me", "self"])
@pytest.mark.parametrize("scopes", [[], ["admin"]])
def test_an_api_token_is_no_person_and_is_pointed_to_viewer(
    world: World, query: Query, name: str, scopes: list[str]
) -> None:
    answer = query(f"{{ {name} {{ id }} }}", token=make_api_token(world.acme, *scopes).token)

    assert (answer.status, answer.code) == (200, "UNAUTHORIZED")
    assert answer.error["message"].startswith("An API token is no person. Ask viewer {")
    assert answer.error["path"] == [name]


@pytest.mark.parametrize("document", [ME, VIEWER, "{ scopes { name } }", "{ __typename }"])
def test_nobody_is_answered_nothing(db: None, query: Query, document: str) -> None:
    answer = query(document)

    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tollgate"'


def test_viewer_says_who_asks_whoever_it_is(world: World, query: Query) -> None:
    expires_at = timezone.now().replace(microsecond=0) + timedelta(days=1)
    written = expires_at.isoformat().replace("+00:00", "Z")
    acme = {"id": str(world.acme.pk), "name": "acme"}
    globex = {"id": str(world.globex.pk), "name": "globex"}
    machine = make_api_token(world.acme, "report:read", name="ci", expires_at=expires_at)

    viewer = query(VIEWER, user=world.owner).data["viewer"]
    assert viewer == {
        "kind": "session",
        "id": str(world.owner.pk),
        "label": "owner@example.org",
        "organizations": [acme],
        "scopes": None,
        "abilities": list(CATALOGUE),
        "expiresAt": None,
    }

    token = make_personal_token(world.both, "write:tasks", expires_at=expires_at).token
    viewer = query(VIEWER, token=token).data["viewer"]
    assert sorted(viewer.pop("organizations"), key=lambda one: one["name"]) == [acme, globex]
    assert viewer == {
        "kind": "personal_access_token",
        "id": str(world.both.pk),
        "label": "both@example.org",
        "scopes": ["write:tasks"],
        "abilities": ["read:tasks", "write:tasks"],
        "expiresAt": written,
    }

    assert query(VIEWER, token=machine.token).data["viewer"] == {
        "kind": "api_token",
        "id": str(machine.pk),
        "label": "ci",
        "organizations": [acme],
        "scopes": ["report:read"],
        "abilities": ["read:reports"],
        "expiresAt": written,
    }


def test_a_person_without_an_organization_can_log_in_and_ask_who_they_are(db: None, browser: Browser) -> None:
    UserFactory(email="alone@example.org")
    browser.log_in("alone@example.org")

    answer = browser.ask(VIEWER, **{"x-csrftoken": browser.form_token()}).json()["data"]["viewer"]

    assert answer["organizations"] == []
    assert "admin:tokens" in answer["abilities"]
    assert "read" not in answer["abilities"]


def test_what_the_server_keeps_of_a_person_is_not_asked_for(world: World, query: Query) -> None:
    for name in ("password", "isStaff", "isSuperuser", "lastLogin"):
        answer = query(f"{{ me {{ {name} }} }}", token=make_personal_token(world.owner).token)
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")
