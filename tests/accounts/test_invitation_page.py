"""The page behind an invitation's link: seen by whoever has the link, accepted under its address alone."""

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from accounts.models import User
from audit.models import Event
from organizations import invitations, services
from organizations.models import Invite, OrgMembership
from tests.admin.conftest import BACKEND
from tests.conftest import World
from tests.factories import SETUP, make_personal_token
from tests.organizations.mailbox import committed, link_secret
from tests.organizations.people import trail
from tokens.authentication import person

NEW = "new@example.org"
PASSWORD = "a staple battery horse"
FORM = {"first_name": "Ne", "last_name": "W", "password": PASSWORD, "password_again": PASSWORD}


def invited(world: World, recipient: str = NEW, **asked: Any) -> str:
    """The path of the link that was mailed."""
    given = {"organization_id": world.acme.pk, "recipient": recipient, **asked}
    committed(lambda: invitations.invite(person(world.owner), **given))
    return f"/invite/{link_secret()}/"


def browser(user: User | None = None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user, backend=BACKEND)
    return client


def message(response: HttpResponse) -> str:
    """The page without what differs each time."""
    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", response.text)


def is_member(world: World, email: str) -> bool:
    return OrgMembership.objects.filter(organization=world.acme, user__email=email).exists()


# --- seeing it -------------------------------------------------------------------------------------


def test_the_page_says_what_is_offered_and_by_whom_and_changes_nothing(world: World) -> None:
    path, count = invited(world, role="AUDITOR"), Event.objects.count()
    for _ in range(2):
        response = browser().get(path)
        assert response.status_code == 200
        for text in ("Join acme", "auditor", "Owner Example invites you", NEW):
            assert text in response.text
    assert (Event.objects.count(), Invite.objects.get().status) == (count, "INVITATION_SENT")


def test_the_page_is_kept_nowhere_and_runs_nothing(world: World) -> None:
    response = browser().get(invited(world))

    assert "no-store" in response.headers["Cache-Control"]
    assert response.headers["X-Robots-Tag"] == "noindex"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert "<script" not in response.text
    assert "style=" not in response.text


def test_every_field_has_a_label(world: World) -> None:
    page = browser().get(invited(world)).text
    fields = re.findall(r'<input id="([^"]+)"', page)
    assert fields == ["id_first_name", "id_last_name", "id_password", "id_password_again"]
    assert all(f'<label for="{field}">' in page for field in fields)


def test_names_of_others_are_escaped(world: World) -> None:
    services.update_organization(
        person(world.owner), world.acme, {"display_name": "<script>alert(1)</script>"}
    )
    assert "<script" not in browser().get(invited(world)).text


# --- with a new account ----------------------------------------------------------------------------


def test_a_new_person_makes_an_account_joins_and_is_logged_in(world: World) -> None:
    client, path, before = browser(), invited(world, role="ADMIN"), Event.objects.count()

    response = client.post(path, FORM)

    assert (response.status_code, response["Location"]) == (302, "/")
    assert f'data-person="{NEW}"' in client.get("/").text
    user = get_user_model().objects.select_related("setting").get(email=NEW)
    assert (user.first_name, user.last_name, user.display_name) == ("Ne", "W", "Ne W")
    assert (user.is_staff, user.is_superuser, user.setting.email_confirmed) == (False, False, True)
    assert user.check_password(PASSWORD)
    assert OrgMembership.objects.get(user=user).role == "ADMIN"
    assert trail(before) == ["user.created", "invite.accepted", "user.logged_in"]
    created = Event.objects.get(action="user.created", target_id=str(user.pk))
    assert (created.actor_label, created.subject_id) == (NEW, user.pk)


def test_nobody_can_write_more_into_the_account_than_the_form_has(world: World) -> None:
    browser().post(
        invited(world),
        FORM | {"email": "other@example.org", "is_staff": "on", "is_superuser": "on", "role": "OWNER"},
    )
    user = get_user_model().objects.get(email=NEW)
    assert not user.is_staff
    assert not user.is_superuser
    assert OrgMembership.objects.get(user=user).role == "MEMBER"


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ({"password": "short", "password_again": "short"}, "too short"),
        ({"password": "12345678", "password_again": "12345678"}, "too common"),
        ({"password": NEW, "password_again": NEW}, "too similar"),
        ({"password_again": "other"}, "The two passwords differ"),
        ({"password": "", "password_again": ""}, "This field is required"),
        ({"first_name": "a\x1bb"}, "Remove the control character"),
        ({"first_name": "x" * 81}, "at most 80 characters"),
    ],
)
def test_an_account_that_cannot_be_is_refused_and_nothing_is_written(
    world: World, typed: dict[str, str], complaint: str
) -> None:
    path, count = invited(world), Event.objects.count()
    response = browser().post(path, FORM | typed)

    assert response.status_code == 400
    assert complaint in response.text
    assert 'role="alert"' in response.text
    assert PASSWORD not in response.text
    assert Event.objects.count() == count
    assert not get_user_model().objects.filter(email=NEW).exists()
    assert browser().post(path, FORM).status_code == 302


def test_another_site_cannot_accept(world: World) -> None:
    path = invited(world, "outsider@example.org")
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.outsider, backend=BACKEND)
    assert client.post(path).status_code == 403
    assert not is_member(world, "outsider@example.org")


# --- with the account one has ----------------------------------------------------------------------


def test_who_has_an_account_is_asked_to_log_in_with_it_and_comes_back(world: World) -> None:
    client, path = browser(), invited(world, "outsider@example.org")
    page = client.get(path)
    assert "id_password" not in page.text
    assert f'href="/login/?next={path}"' in page.text

    assert client.post(path, FORM).status_code == 409
    assert not is_member(world, "outsider@example.org")

    given = {"username": "outsider@example.org", "password": "correct horse battery staple", "next": path}
    assert client.post("/login/", given)["Location"] == path
    assert "You are logged in as outsider@example.org" in client.get(path).text
    assert client.post(path)["Location"] == "/"
    assert is_member(world, "outsider@example.org")


def test_who_is_logged_in_under_another_address_cannot_accept(world: World) -> None:
    path = invited(world)
    client = browser(world.outsider)
    for response in (client.get(path), client.post(path, FORM)):
        assert response.status_code == 403
        assert "another e-mail address than outsider@example.org" in response.text
        assert NEW not in response.text
        assert "acme" not in response.text
        assert 'action="/logout/"' in response.text
    assert not get_user_model().objects.filter(email=NEW).exists()
    assert client.post("/logout/", {"next": path})["Location"] == path


def test_a_token_accepts_nothing(world: World) -> None:
    path = invited(world, "outsider@example.org")
    bearer = {"authorization": f"Bearer {make_personal_token(world.outsider).token}"}
    for client in (browser(), browser(world.outsider)):
        for response in (client.get(path, headers=bearer), client.post(path, FORM, headers=bearer)):
            assert response.status_code == 403
            assert "No token can accept an invitation" in response.text
    assert not is_member(world, "outsider@example.org")


def test_a_member_by_now_is_told_so(world: World) -> None:
    path = invited(world, "outsider@example.org")
    services.add_member(SETUP, organization_id=world.acme.pk, user_id=world.outsider.pk)
    response = browser(world.outsider).post(path)
    assert response.status_code == 409
    assert "is a member already" in response.text


# --- links that are good no more -------------------------------------------------------------------


def test_unknown_and_withdrawn_links_look_the_same(world: World) -> None:
    path = invited(world)
    invitations.withdraw(person(world.owner), Invite.objects.get())

    answers = {
        (response.status_code, message(response))
        for one in (path, "/invite/unknown/", f"/invite/{'a' * 43}/", f"/invite/{'é' * 500}/", "/invite/%00/")
        for response in (browser().get(one), browser().post(one, FORM))
    }
    ((status, page),) = answers
    assert status == 404
    assert "There is no such invitation" in page


def test_a_used_link_says_so_to_everybody(world: World) -> None:
    path = invited(world)
    browser().post(path, FORM)
    for client in (browser(), browser(world.owner), browser(get_user_model().objects.get(email=NEW))):
        for response in (client.get(path), client.post(path, FORM)):
            assert response.status_code == 410
            assert "accepted already" in response.text


def test_an_expired_link_says_so(world: World) -> None:
    path = invited(world)
    with time_machine.travel(timezone.now() + timedelta(days=7, seconds=1)):
        for response in (browser().get(path), browser().post(path, FORM)):
            assert response.status_code == 410
            assert "has expired" in response.text
    assert not get_user_model().objects.filter(email=NEW).exists()


def test_a_link_that_nobody_vouches_for_any_more_makes_no_account(world: World) -> None:
    committed(
        lambda: invitations.invite(
            person(world.admin), organization_id=world.acme.pk, recipient=NEW, role="ADMIN"
        )
    )
    services.remove_member(SETUP, OrgMembership.objects.get(user=world.admin, organization=world.acme))
    response = browser().post(f"/invite/{link_secret()}/", FORM)

    assert response.status_code == 410
    assert "may no longer give" in response.text
    assert not get_user_model().objects.filter(email=NEW).exists()


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
def test_the_page_is_read_and_accepted_and_nothing_else(world: World, method: str) -> None:
    assert getattr(browser(), method)(invited(world)).status_code == 405
