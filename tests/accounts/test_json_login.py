"""Log-in and log-out as JSON: a session for scripts, and nothing for other sites' pages or for guessers."""

import json
from typing import Any, ClassVar

import pytest
from django.conf import settings as configured
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from audit.models import Event
from tests.conftest import World
from tests.factories import make_personal_token

PASSWORD = "correct horse battery staple"


def send(client: Client, body: Any, path: str = "/v1/login", **headers: str) -> HttpResponse:
    content = body if isinstance(body, bytes | str) else json.dumps(body)
    return client.post(path, content, content_type="application/json", headers=headers)


def log_in(client: Client, name: str, password: str = PASSWORD, **headers: str) -> HttpResponse:
    return send(client, {"username": name, "password": password}, **headers)


@pytest.fixture
def script() -> Client:
    return Client(enforce_csrf_checks=True)


@pytest.mark.parametrize("name", ["username", "email"])
def test_a_person_logs_in_and_is_told_who_they_are(world: World, script: Client, name: str) -> None:
    response = send(script, {name: "Member@Example.org", "password": PASSWORD})

    assert response.status_code == 200
    assert response.json() == {
        "success": True,
        "user": {"id": str(world.member.pk), "email": "member@example.org"},
    }
    assert response.headers["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    assert script.cookies["sessionid"]["httponly"]
    assert script.cookies["sessionid"]["samesite"] == "Lax"
    assert Event.objects.latest("id").action == "user.logged_in"
    assert 'data-person="member@example.org"' in script.get("/").text


def test_the_session_ends_by_log_out_which_may_be_asked_twice(world: World, script: Client) -> None:
    log_in(script, "member@example.org")
    for _ in range(2):
        assert send(script, {}, "/v1/logout").json() == {"success": True}
    assert 'data-person=""' in script.get("/").text
    assert [event.action for event in Event.objects.order_by("-id")[:2]] == [
        "user.logged_out",
        "user.logged_in",
    ]


def test_a_session_is_never_one_that_was_there_before(world: World, script: Client) -> None:
    log_in(script, "member@example.org")
    former = script.cookies["sessionid"].value
    log_in(script, "admin@example.org")
    assert script.cookies["sessionid"].value != former


def test_wrong_unknown_and_deactivated_get_one_answer(world: World, script: Client) -> None:
    User.objects.filter(pk=world.admin.pk).update(is_active=False)
    answers = {
        (response.status_code, response.content)
        for response in (
            log_in(script, "member@example.org", "wrong"),
            log_in(script, "nobody@example.org", "wrong"),
            log_in(script, "admin@example.org"),
            log_in(script, "nobody", "wrong"),
        )
    }
    ((status, content),) = answers
    assert status == 401
    answer = json.loads(content)
    assert answer["success"] is False
    assert answer["errors"] == [{"message": answer["error"], "extensions": {"code": "UNAUTHENTICATED"}}]
    assert "sessionid" not in script.cookies


class CountingHasher(MD5PasswordHasher):
    calls: ClassVar[list[str]] = []

    def encode(self, password: str, salt: str) -> str:
        self.calls.append(salt)
        return super().encode(password, salt)


def test_known_and_unknown_people_cost_the_same_work(world: World, script: Client, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    work = []
    for name in ("member@example.org", "nobody@example.org"):
        CountingHasher.calls.clear()
        with CaptureQueriesContext(connection) as queries:
            log_in(script, name, "wrong")
        work.append((len(queries), len(CountingHasher.calls)))

    assert work[0] == work[1]
    assert work[0][1] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (" ", 400),
        ("{", 400),
        ("[]", 400),
        ('"x"', 400),
        ("null", 400),
        ("{}", 400),
        (b"\xff\xfe", 400),
        ({"username": "a"}, 400),
        ({"password": "a"}, 400),
        ({"username": "", "password": ""}, 400),
        ({"username": 1, "password": "a"}, 400),
        ({"username": ["a"], "password": {"b": 1}}, 400),
        ({"username": "a\0", "password": "a"}, 400),
        ({"username": "a", "password": "a\0"}, 400),
        ('{"username": "\\ud800", "password": "a"}', 400),
        ({"username": "a" * 255, "password": "a"}, 400),
        ({"username": "a", "password": "a" * 4097}, 400),
        ("[" * 60_000, 400),
        ({"username": "a", "password": "a" * 4096}, 401),
        ({"username": "‮é@example.org", "password": "a"}, 401),
    ],
)
def test_what_is_no_log_in_is_said_to_be_none(db: None, script: Client, body: Any, status: int) -> None:
    response = send(script, body)
    assert response.status_code == status
    assert response.json()["success"] is False


def test_a_body_that_is_too_long_is_refused(db: None, script: Client) -> None:
    assert send(script, b" " * 1_100_000).status_code in (400, 413)


@pytest.mark.parametrize("path", ["/v1/login", "/v1/logout"])
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_what_another_sites_form_can_send_is_refused(
    world: World, script: Client, path: str, kind: str
) -> None:
    log_in(script, "member@example.org")
    response = script.post(path, "{}", content_type=kind)
    assert (response.status_code, response.json()["success"]) == (415, False)
    assert 'data-person="member@example.org"' in script.get("/").text


@pytest.mark.parametrize("path", ["/v1/login", "/v1/logout"])
@pytest.mark.parametrize("method", ["get", "put", "delete", "options", "head"])
def test_nothing_but_post_is_understood(db: None, script: Client, path: str, method: str) -> None:
    response = getattr(script, method)(path)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://testserver", 200),
        ("https://testserver", 403),
        ("http://testserver:8001", 403),
        ("http://evil.example", 403),
        ("http://testserver.evil.example", 403),
        ("null", 403),
        ("", 403),
        ("https://app.example", 200),
        ("https://a.b.example", 200),
        ("http://a.b.example", 403),
        ("https://b.example", 403),
        ("https://evilb.example", 403),
        ("https://b.example.evil", 403),
    ],
)
def test_a_page_of_another_origin_logs_nobody_in_or_out(
    world: World, script: Client, settings: Any, origin: str, status: int
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://app.example", "https://*.b.example"]
    assert log_in(script, "member@example.org", origin=origin).status_code == status
    assert send(script, {}, "/v1/logout", origin=origin).status_code == status


def test_a_bearer_token_is_judged_first(world: World, script: Client) -> None:
    assert log_in(script, "member@example.org", authorization="Bearer tolp_x").status_code == 401
    token = make_personal_token(world.member).token
    assert log_in(script, "member@example.org", authorization=f"Bearer {token}").status_code == 200


def test_a_session_by_json_asks_graphql_like_any_other(world: World) -> None:
    client = Client()
    log_in(client, "member@example.org")
    answer = client.post("/query", {"query": "{ me { email } }"}, content_type="application/json")
    assert answer.json() == {"data": {"me": {"email": "member@example.org"}}}
    assert configured.SESSION_COOKIE_NAME in client.cookies
