"""People, as operators see them: created, changed, deactivated; never deleted; no ladder to more power."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import User
from audit.models import Event
from tests.admin.conftest import BACKEND, Desk, last_event, text
from tests.conftest import Query, World
from tests.factories import make_personal_token

PASSWORD = "a staple battery horse"


def test_an_operator_creates_a_person_who_can_log_in(desk: Desk) -> None:
    desk.submit(
        "accounts_user_add",
        email="New@Example.org",
        first_name="Ne",
        password=PASSWORD,
        password_again=PASSWORD,
    )
    assert Client().login(username="new@example.org", password=PASSWORD)
    event = last_event("user.created")
    assert (event.actor_label, event.target_label) == ("root@example.org", "new@example.org")
    assert PASSWORD not in str([vars(one) for one in Event.objects.all()])


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ({"email": "member@example.org"}, "Somebody with this e-mail address exists"),
        ({"email": "nonsense"}, "Enter a valid email address"),
        ({"password": "1234", "password_again": "1234"}, "This password is too short"),
        ({"password_again": "other"}, "The two passwords differ"),
        ({"password": "", "password_again": ""}, "This field is required"),
    ],
)
def test_a_person_who_cannot_be_is_refused(desk: Desk, typed: dict[str, str], complaint: str) -> None:
    before = User.objects.count()
    page = desk.submit(
        "accounts_user_add",
        **{"email": "new@example.org", "password": PASSWORD, "password_again": PASSWORD, **typed},
    )
    assert complaint in text(page)
    assert User.objects.count() == before


def test_no_page_shows_a_password_hash(desk: Desk, world: World) -> None:
    shown = text(desk.get("accounts_user_change", world.member.pk))
    assert world.member.password not in shown
    assert "md5$" not in shown


def test_deactivating_ends_sessions_and_personal_tokens_and_is_undone(
    desk: Desk, world: World, query: Query
) -> None:
    token = make_personal_token(world.member)
    browser = Client()
    browser.force_login(world.member, backend=BACKEND)
    desk.submit("accounts_user_change", world.member.pk, is_active=None)
    assert last_event("user.deactivated").actor_label == "root@example.org"
    assert query("{ me { id } }", token=token.token).status == 401
    desk.submit("accounts_user_change", world.member.pk, is_active="on")
    assert last_event("user.reactivated").target_id == str(world.member.pk)
    assert query("{ me { id } }", token=token.token).data["me"]["id"] == str(world.member.pk)


def test_nobody_deactivates_or_demotes_themselves(desk: Desk, root: User) -> None:
    assert "You cannot deactivate yourself" in text(
        desk.submit("accounts_user_change", root.pk, is_active=None)
    )
    for box in ("is_staff", "is_superuser"):
        assert "You cannot shut yourself out" in text(
            desk.submit("accounts_user_change", root.pk, **{box: None})
        )
    root.refresh_from_db()
    assert root.is_active
    assert root.is_staff
    assert root.is_superuser


def test_a_person_is_never_deleted(desk: Desk, world: World) -> None:
    assert desk.post("accounts_user_delete", world.member.pk, post="yes").status_code == 403
    assert User.objects.filter(pk=world.member.pk).exists()


def test_names_address_and_password_are_changed_and_told(desk: Desk, world: World) -> None:
    desk.submit(
        "accounts_user_change",
        world.member.pk,
        email="renamed@example.org",
        first_name="Re",
        password=PASSWORD,
        password_again=PASSWORD,
    )
    assert Client().login(username="renamed@example.org", password=PASSWORD)
    told = [event.changes for event in Event.objects.filter(action="user.updated")]
    assert told == [
        {"password": "replaced"},
        {"email": ["member@example.org", "renamed@example.org"], "first_name": ["Member", "Re"]},
    ]


def test_a_superuser_makes_an_operator_and_says_what_they_may_do(desk: Desk, world: World) -> None:
    permission = Permission.objects.get(codename="view_apitoken")
    desk.submit("accounts_user_change", world.member.pk, is_staff="on", user_permissions=[str(permission.pk)])
    assert last_event("user.updated").changes == {
        "is_staff": [False, True],
        "user_permissions": [[], ["view_apitoken"]],
    }
    assert Desk(world.member).get("tokens_apitoken_changelist").status_code == 200


def test_a_clerk_changes_people_but_touches_no_operator_and_makes_none(
    clerk: User, world: World, root: User
) -> None:
    desk = Desk(clerk)
    desk.submit("accounts_user_change", world.member.pk, first_name="Other")
    world.member.refresh_from_db()
    assert world.member.first_name == "Other"

    desk.submit("accounts_user_change", world.member.pk, is_staff="on", is_superuser="on")
    desk.submit(
        "accounts_user_add",
        email="new@example.org",
        password=PASSWORD,
        password_again=PASSWORD,
        is_superuser="on",
    )
    page = desk.submit("accounts_user_change", root.pk, password=PASSWORD, password_again=PASSWORD)
    assert "Only a superuser changes those who may use the admin" in text(page)
    assert User.objects.get(is_superuser=True) == root
    root.refresh_from_db()
    assert not root.check_password(PASSWORD)
    assert not User.objects.filter(is_staff=True).exclude(pk__in=[root.pk, clerk.pk]).exists()


def test_the_list_of_people_cannot_be_filtered_by_password(desk: Desk) -> None:
    answer = desk.client.get(reverse("admin:accounts_user_changelist"), {"password__startswith": "a"})
    assert answer.status_code == 400


def test_a_view_only_operator_sees_everybody_and_changes_nobody(world: World) -> None:
    viewer = world.auditor
    viewer.is_staff = True
    viewer.save()
    viewer.user_permissions.set(
        Permission.objects.filter(codename__in=["view_user", "view_group", "view_personalaccesstoken"])
    )
    token = make_personal_token(world.member)
    desk = Desk(viewer)
    for page, pk in (("accounts_user", world.member.pk), ("tokens_personalaccesstoken", token.pk)):
        assert desk.get(f"{page}_change", pk).status_code == 200
        assert desk.post(f"{page}_change", pk, name="x").status_code == 403
    assert (
        desk.post("tokens_personalaccesstoken_revoke", tokens=[str(token.pk)], reason="x").status_code == 403
    )
    token.refresh_from_db()
    assert token.revoked_at is None
