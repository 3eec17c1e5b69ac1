"""Guessing at a password locks the guesser out of that name, and nobody else out of anything."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from axes.models import AccessAttempt
from django.http import HttpResponse
from django.test import Client

from audit.models import Event
from tests import traces
from tests.conftest import World
from tests.factories import make_personal_token

PASSWORD = "correct horse battery staple"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock() -> Iterator[Any]:
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


def by_json(name: str, password: str = "wrong", address: str = "192.0.2.1", **headers: str) -> HttpResponse:
    body = json.dumps({"username": name, "password": password})
    return Client().post(
        "/v1/login", body, content_type="application/json", headers=headers, REMOTE_ADDR=address
    )


def by_form(
    name: str, password: str = "wrong", address: str = "192.0.2.1", page: str = "/login/"
) -> HttpResponse:
    return Client().post(
        page, {"username": name, "password": password}, headers={"accept": "text/html"}, REMOTE_ADDR=address
    )


def guess(name: str = "member@example.org", times: int = 5, **asked: str) -> None:
    for _ in range(times):
        by_json(name, **asked)


def test_the_fifth_failure_locks_and_the_right_password_does_not_open(world: World) -> None:
    assert [by_json("member@example.org").status_code for _ in range(5)] == [401, 401, 401, 401, 429]

    locked = by_json("member@example.org", PASSWORD)
    assert locked.status_code == 429
    assert locked.headers["Retry-After"] == "900"
    assert locked.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert "sessionid" not in locked.cookies


@pytest.mark.parametrize("page", ["/login/", "/admin/login/"])
def test_the_forms_are_locked_with_it(world: World, page: str) -> None:
    guess(times=4)
    assert by_form("member@example.org", page=page).status_code == 429
    locked = by_form("member@example.org", PASSWORD, page=page)

    assert locked.status_code == 429
    assert locked.headers["Retry-After"] == "900"
    assert locked.headers["Content-Type"].startswith("text/html")
    assert "Try again in 15 minutes" in locked.text
    assert by_json("member@example.org", PASSWORD).status_code == 429


def test_the_owner_of_the_name_logs_in_from_elsewhere(world: World) -> None:
    guess(times=20)
    assert by_json("member@example.org", PASSWORD, address="192.0.2.2").status_code == 200
    assert by_json("member@example.org", PASSWORD).status_code == 429


def test_the_guesser_logs_in_under_their_own_name(world: World) -> None:
    guess()
    assert by_json("admin@example.org", PASSWORD).status_code == 200


def test_the_lock_opens_after_fifteen_minutes_whatever_was_tried_meanwhile(world: World, clock: Any) -> None:
    guess()
    clock.shift(timedelta(minutes=10))
    assert by_json("member@example.org", PASSWORD).headers["Retry-After"] == "300"
    clock.shift(timedelta(minutes=4, seconds=59))
    assert by_json("member@example.org", PASSWORD).headers["Retry-After"] == "1"
    clock.shift(timedelta(seconds=2))
    assert by_json("member@example.org", PASSWORD).status_code == 200


def test_old_failures_are_forgotten(world: World, clock: Any) -> None:
    guess(times=4)
    clock.shift(timedelta(minutes=16))
    assert by_json("member@example.org").status_code == 401
    assert by_json("member@example.org", PASSWORD).status_code == 200


def test_a_success_starts_the_count_anew(world: World) -> None:
    for _ in range(3):
        guess(times=4)
        assert by_json("member@example.org", PASSWORD).status_code == 200


def test_a_name_nobody_has_is_locked_alike(world: World) -> None:
    def answers(name: str) -> list[tuple[int, bytes]]:
        return [(one.status_code, one.content) for one in (by_json(name) for _ in range(7))]

    assert answers("member@example.org") == answers("nobody@example.org")


@pytest.mark.parametrize("name", ["MEMBER@example.org", "member@Example.ORG", "ｍember@example.org"])
def test_another_spelling_is_the_same_name(world: World, name: str) -> None:
    guess(times=4)
    by_json(name)
    assert by_json("member@example.org", PASSWORD).status_code == 429


def test_another_browser_is_the_same_address(world: World) -> None:
    for number in range(5):
        by_json("member@example.org", **{"user-agent": f"browser {number}"})
    assert by_json("member@example.org", PASSWORD).status_code == 429


def test_what_a_client_writes_into_forwarded_for_is_not_its_address(world: World) -> None:
    for number in range(5):
        by_json("member@example.org", **{"x-forwarded-for": f"198.51.100.{number}"})
    assert by_json("member@example.org", PASSWORD).status_code == 429


def test_behind_a_proxy_clients_are_told_apart(world: World, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    for _ in range(5):
        by_json("member@example.org", **{"x-forwarded-for": "198.51.100.1"})
    assert by_json("member@example.org", PASSWORD, **{"x-forwarded-for": "198.51.100.2"}).status_code == 200
    assert by_json("member@example.org", PASSWORD, **{"x-forwarded-for": "198.51.100.1"}).status_code == 429


def test_the_addresses_of_one_ipv6_site_are_one(world: World) -> None:
    for number in range(5):
        by_json("member@example.org", address=f"2001:db8:1:1::{number}")
    assert by_json("member@example.org", PASSWORD, address="2001:db8:1:1:ffff::9").status_code == 429
    assert by_json("member@example.org", PASSWORD, address="2001:db8:1:2::1").status_code == 200


def test_sessions_and_tokens_that_are_there_go_on(world: World) -> None:
    client = Client(REMOTE_ADDR="192.0.2.1")
    client.force_login(world.member, backend="django.contrib.auth.backends.ModelBackend")
    token = make_personal_token(world.member).token
    guess()
    assert 'data-person="member@example.org"' in client.get("/").text
    answer = Client(REMOTE_ADDR="192.0.2.1").post(
        "/query",
        {"query": "{ me { id } }"},
        content_type="application/json",
        headers={"authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 200


def test_nothing_that_was_typed_is_kept(world: World) -> None:
    typed = "hunter2-hunter2"
    Client().post(f"/login/?q={typed}", {"username": typed, "password": typed, "other": typed})
    by_json(typed, typed)
    assert AccessAttempt.objects.exists()
    assert not any(typed in row for row in traces.rows())


def test_every_failure_is_in_the_trail(world: World) -> None:
    guess(times=6)
    failed = Event.objects.filter(action="user.login_failed", subject_id=world.member.pk)
    assert {event.address for event in failed} == {"192.0.2.1"}
    assert failed.count() == 6
