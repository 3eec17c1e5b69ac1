"""People change their own name and settings, nobody else's, and nothing that says where they stand."""

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from accounts import services
from accounts.models import User, UserSetting
from audit.models import Event
from organizations import services as organizations
from organizations.models import Organization
from tests.admin.conftest import Desk
from tests.conftest import World
from tests.factories import SETUP, UserFactory, make_api_token, make_personal_token
from tests.organizations.people import SIX, acting, fields_of, holder_of, outcome, told
from tokens.authentication import person

PASSWORD = "correct horse battery staple"


def setting_of(user: User) -> UserSetting:
    return UserSetting.objects.select_related("user").get(user=user)


# --- what everybody has ----------------------------------------------------------------------------


def test_everybody_has_settings_and_a_name_to_quote(world: World) -> None:
    people = list(User.objects.get_queryset().select_related("setting"))

    assert len({one.display_id for one in people}) == len(people) == 6
    assert all(re.fullmatch(r"USR-[0-9A-HJKMNP-TV-Z]{6}", one.display_id) for one in people)
    assert {(one.setting.status, one.setting.locked, one.setting.default_org) for one in people} == {
        ("ACTIVE", False, None)
    }


def test_a_person_who_cannot_be_leaves_no_settings_behind(db: None) -> None:
    UserFactory(email="one@example.org")
    with pytest.raises(ValidationError):
        UserFactory(email="ONE@example.org")
    assert UserSetting.objects.count() == User.objects.count() == 1


def test_a_name_that_is_taken_is_drawn_again(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("organizations.models.CROCKFORD", "AB")  # 64 names in all
    assert len({UserFactory().display_id for _ in range(60)}) == 60


def test_last_seen_is_the_last_log_in_and_no_other_request(world: World) -> None:
    client, start = Client(), timezone.now()
    with time_machine.travel(start, tick=False):
        client.post("/login/", {"username": "member@example.org", "password": PASSWORD})
    with time_machine.travel(start + timedelta(hours=1), tick=False):
        client.get("/")
        assert holder_of(make_personal_token(world.member)).user.pk == world.member.pk
    world.member.refresh_from_db()
    assert world.member.last_seen == start


# --- one's own profile -----------------------------------------------------------------------------


@pytest.mark.parametrize("who", SIX)
def test_everybody_renames_themselves_and_sees_it_in_their_trail(world: World, who: str) -> None:
    user = getattr(world, who)
    changes = {"first_name": "New", "last_name": None, "display_name": "N.", "tags": ["x"]}

    assert told(lambda: services.update_own_profile(person(user), user, changes)) == ["user.updated"]

    event = Event.objects.latest("id")
    assert (event.subject_id, event.organization_id) == (user.pk, None)
    assert event.changes["first_name"] == [who.title(), "New"]
    assert event in Event.objects.visible_to(person(user))
    assert told(lambda: services.update_own_profile(person(user), user, changes)) == []


@pytest.mark.parametrize("who", [*SIX, "owner token", "api token"])
def test_nobody_renames_somebody_else(world: World, who: str) -> None:
    stranger = UserFactory()
    principal = acting(world, who)
    assert outcome(lambda: services.update_own_profile(principal, stranger, {"first_name": "X"})) == "role"
    assert (
        outcome(lambda: services.update_own_setting(principal, setting_of(stranger), {"tags": []})) == "role"
    )


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [([], "ok"), (["write"], "ok"), (["admin"], "ok"), (["read"], "scope"), (["admin:tokens"], "scope")],
)
def test_a_token_renames_its_owner_within_its_scopes(world: World, scopes: list[str], expected: str) -> None:
    principal = holder_of(make_personal_token(world.member, *scopes))
    act = lambda: services.update_own_profile(principal, world.member, {"first_name": "X"})  # noqa: E731
    assert outcome(act) == expected


@pytest.mark.parametrize(
    "name",
    [
        "email",
        "is_staff",
        "is_superuser",
        "is_active",
        "password",
        "last_seen",
        "display_id",
        "user_permissions",
    ],
)
def test_where_one_stands_is_not_ones_own_to_change(world: World, name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        services.update_own_profile(person(world.member), world.member, {name: True})
    assert fields_of(refused.value) == {name}


@pytest.mark.parametrize(
    "changes", [{"first_name": "a\nb"}, {"last_name": "x" * 81}, {"display_name": "a\x1bb"}, {"tags": "x"}]
)
def test_a_name_that_cannot_be_shown_is_refused_at_its_field(world: World, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        services.update_own_profile(person(world.member), world.member, changes)
    assert fields_of(refused.value) == set(changes)


# --- one's own settings ----------------------------------------------------------------------------


def test_one_sees_ones_own_settings_and_no_others(world: World) -> None:
    for who in SIX:
        assert [one.user for one in UserSetting.objects.visible_to(acting(world, who))] == [
            getattr(world, who)
        ]
    assert not UserSetting.objects.visible_to(holder_of(make_api_token(world.acme, "admin"))).exists()
    assert not UserSetting.objects.visible_to(SETUP).exists()


def test_the_default_organization_is_one_of_ones_own(world: World) -> None:
    both, mine = person(world.both), setting_of(world.both)
    assert told(lambda: services.update_own_setting(both, mine, {"default_org_id": world.globex.pk})) == [
        "user_setting.updated"
    ]
    assert Event.objects.latest("id").changes == {"default_org_id": [None, str(world.globex.pk)]}
    assert setting_of(world.both).default_org == world.globex
    services.update_own_setting(both, mine, {"default_org_id": None})
    assert setting_of(world.both).default_org is None

    with pytest.raises(Organization.DoesNotExist):
        services.update_own_setting(
            person(world.member), setting_of(world.member), {"default_org_id": world.globex.pk}
        )


def test_a_closed_organization_is_nobodys_default(world: World) -> None:
    stale = person(world.both)
    organizations.delete_organization(person(world.outsider), world.globex)
    with pytest.raises(Organization.DoesNotExist):
        services.update_own_setting(stale, setting_of(world.both), {"default_org_id": world.globex.pk})


@pytest.mark.parametrize(
    "name",
    ["status", "locked", "silenced_at", "suspended_at", "email_confirmed", "is_tfa_enabled", "user_id"],
)
def test_what_the_server_owns_is_not_ones_own_to_set(world: World, name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        services.update_own_setting(person(world.member), setting_of(world.member), {name: True})
    assert fields_of(refused.value) == {name}


def test_deactivating_somebody_shows_in_their_settings(world: World) -> None:
    desk = Desk(UserFactory(is_staff=True, is_superuser=True))

    desk.submit("accounts_user_change", world.member.pk, is_active=None)
    assert (setting_of(world.member).status, setting_of(world.member).suspended_at is None) == (
        "DEACTIVATED",
        False,
    )
    desk.submit("accounts_user_change", world.member.pk, is_active="on")
    assert (setting_of(world.member).status, setting_of(world.member).suspended_at) == ("ACTIVE", None)
    assert "member@example.org" in desk.get("accounts_usersetting_changelist").text
