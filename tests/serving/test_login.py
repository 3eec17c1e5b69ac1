"""People log in with e-mail and password; who may not learns nothing about who may."""

import re

import pytest
from django.test import Client

from accounts.models import User
from tests.conftest import World

PASSWORD = "correct horse battery staple"


def log_in(client: Client, email: str, password: str = PASSWORD, **more: str) -> tuple[int, str, str]:
    """(status, where to, the page without what differs each time)"""
    response = client.post("/login/", {"username": email, "password": password, **more})
    page = re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", response.text).replace(email, "")
    return response.status_code, response.get("Location", ""), page


def test_a_member_logs_in_and_out(world: World, client: Client) -> None:
    assert log_in(client, "member@example.org")[:2] == (302, "/")
    assert 'data-person="member@example.org"' in client.get("/").text

    assert client.post("/logout/")["Location"] == "/login/"
    assert 'data-person=""' in client.get("/").text


def test_the_address_may_be_typed_in_any_case(world: World, client: Client) -> None:
    assert log_in(client, "Member@Example.org")[0] == 302


def test_wrong_password_unknown_person_and_deactivated_person_look_the_same(
    world: World, client: Client
) -> None:
    User.objects.filter(pk=world.admin.pk).update(is_active=False)
    answers = {
        log_in(client, "member@example.org", "wrong"),
        log_in(client, "nobody@example.org", "wrong"),
        log_in(client, "admin@example.org"),
    }

    assert len(answers) == 1
    status, _, page = answers.pop()
    assert status == 200
    assert 'role="alert"' in page


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [("/admin/", "/admin/"), ("https://elsewhere.example/", "/"), ("//elsewhere.example", "/")],
)
def test_after_the_login_one_stays_on_this_host(
    world: World, client: Client, wanted: str, reached: str
) -> None:
    assert log_in(client, "member@example.org", next=wanted)[1] == reached


def test_a_link_cannot_log_anybody_out(world: World, client: Client) -> None:
    client.force_login(world.member)

    assert client.get("/logout/").status_code == 405
    assert 'data-person="member@example.org"' in client.get("/").text


def test_a_password_typed_wrong_is_not_sent_back(world: World, client: Client) -> None:
    assert "hunter2-hunter2" not in log_in(client, "member@example.org", "hunter2-hunter2")[2]


def test_every_field_has_a_label(client: Client) -> None:
    page = client.get("/login/").text
    fields = re.findall(r'<input id="([^"]+)"', page)

    assert fields == ["id_username", "id_password"]
    assert all(f'<label for="{field}">' in page for field in fields)
