"""createdemo: the demo is what it says, can be made again and again, and keeps away from real data."""

from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.test import Client
from django.utils import timezone

from accounts import services as accounts
from accounts.models import User
from audit.models import Event
from organizations import services as organizations
from organizations.models import Organization, OrgMembership
from tests.commands.conftest import Run, Shell
from tests.factories import SETUP, UserFactory, join, make_api_token, make_organization, make_personal_token
from tokens.authentication import BadCredential, identify
from tokens.models import APIToken, PersonalAccessToken

pytestmark = pytest.mark.django_db

PEOPLE = ["owner", "admin", "member", "auditor", "outsider", "both"]


def issued(demo: dict[str, Any]) -> dict[str, str]:
    """Id -> value."""
    both = [*demo["api_tokens"].values(), *demo["personal_access_tokens"].values()]
    return {token["id"]: token["token"] for token in both}


def test_json_has_the_agreed_shape(run: Run) -> None:
    demo = run("createdemo", "--json").json
    assert list(demo) == ["organizations", "users", "api_tokens", "personal_access_tokens"]
    assert list(demo["organizations"]) == list(demo["api_tokens"]) == ["acme", "globex"]
    assert list(demo["users"]) == list(demo["personal_access_tokens"]) == PEOPLE
    assert all(isinstance(each, str) for each in demo["organizations"].values())
    assert all(set(user) == {"id", "email", "password"} for user in demo["users"].values())
    assert all(set(token) == {"id", "token"} for token in demo["api_tokens"].values())
    assert demo["users"]["owner"]["email"] == "owner@acme.example"


def test_everybody_is_who_they_should_be(run: Run) -> None:
    run("createdemo")
    roles = OrgMembership.objects.values_list("user__email", "organization__name", "role")
    assert set(roles) == {
        ("owner@acme.example", "acme", "OWNER"),
        ("admin@acme.example", "acme", "ADMIN"),
        ("member@acme.example", "acme", "MEMBER"),
        ("auditor@acme.example", "acme", "AUDITOR"),
        ("outsider@globex.example", "globex", "OWNER"),
        ("both@acme.example", "acme", "MEMBER"),
        ("both@acme.example", "globex", "MEMBER"),
    }
    assert not User.objects.get_queryset().filter(is_staff=True).exists()


def test_the_tokens_work(run: Run) -> None:
    demo = run("createdemo", "--json").json
    acme = identify(demo["api_tokens"]["acme"]["token"], timezone.now())
    assert acme.token.scopes == ["admin"]
    assert str(acme.token.owner_id) == demo["organizations"]["acme"]
    for name in PEOPLE:
        principal = identify(demo["personal_access_tokens"][name]["token"], timezone.now())
        assert str(principal.user.pk) == demo["users"][name]["id"]
        assert principal.token.scopes == []


def test_every_printed_password_opens_the_door(run: Run) -> None:
    for _ in range(2):
        for user in run("createdemo", "--json").json["users"].values():
            found = authenticate(username=user["email"], password=user["password"])
            assert str(found.pk) == user["id"]


def test_a_second_call_keeps_people_and_replaces_their_tokens(run: Run) -> None:
    first, second = run("createdemo", "--json").json, run("createdemo", "--json").json
    assert first["organizations"] == second["organizations"]
    assert [user["id"] for user in first["users"].values()] == [
        user["id"] for user in second["users"].values()
    ]
    for value in issued(first).values():
        with pytest.raises(BadCredential, match="revoked"):
            identify(value, timezone.now())
    for value in issued(second).values():
        identify(value, timezone.now())
    for model in (APIToken, PersonalAccessToken):
        reasons = model.objects.filter(pk__in=issued(first)).values_list("revoked_reason", flat=True)
        assert set(reasons) == {"demo re-created"}
    assert Event.objects.filter(action__endswith="token.revoked").count() == 8


def test_tokens_that_others_made_for_the_demo_stay(run: Run) -> None:
    run("createdemo")
    acme = Organization.objects.get(name="acme")
    owner = User.objects.get(email="owner@acme.example")
    kept = [make_api_token(acme, tags=["demo"]), make_personal_token(owner, tags=["demo"], name="demo")]
    run("createdemo")
    for token in kept:
        identify(token.token, timezone.now())


def test_a_demo_somebody_played_with_is_put_right(run: Run) -> None:
    run("createdemo")
    acme = Organization.objects.get(name="acme")
    OrgMembership.objects.filter(user__email="auditor@acme.example").delete()
    OrgMembership.objects.filter(user__email="member@acme.example").update(role="OWNER")
    accounts.deactivate(SETUP, User.objects.get(email="admin@acme.example"))
    demo = run("createdemo", "--json").json
    roles = dict(OrgMembership.objects.filter(organization=acme).values_list("user__email", "role"))
    assert roles["auditor@acme.example"] == "AUDITOR"
    assert roles["member@acme.example"] == "MEMBER"
    identify(demo["personal_access_tokens"]["admin"]["token"], timezone.now())


def test_people_read_a_table_with_everything_they_need(run: Run) -> None:
    ran = run("createdemo")
    assert "owner of acme" in ran.out
    for model in (APIToken, PersonalAccessToken):
        for token in model.objects.all():
            assert token.hint in ran.out
    assert "superuser" not in ran.out


def test_an_operator_is_made_only_when_asked_for(run: Run, client: Client) -> None:
    assert "operator" not in run("createdemo", "--json").json
    for _ in range(2):
        operator = run("createdemo", "--admin", "--json").json["operator"]
        assert operator["email"] == "operator@demo.example"
        assert client.login(username=operator["email"], password=operator["password"])
        assert client.get("/admin/").status_code == 200
    assert "operator@demo.example" in run("createdemo", "--admin").out


def test_it_keeps_away_from_a_real_database(run: Run, settings) -> None:
    real = make_organization("initech")
    before = [Event.objects.count(), User.objects.get_queryset().count()]
    ran = run("createdemo", "--json")
    assert (ran.status, ran.out) == (2, "")
    assert "--force" in ran.err
    assert [Event.objects.count(), User.objects.get_queryset().count()] == before
    settings.DEBUG = True
    assert run("createdemo").status == 0
    settings.DEBUG = False
    assert run("createdemo").status == 2
    assert run("createdemo", "--force").status == 0
    assert Organization.objects.get(pk=real.pk).name == "initech"


def test_what_the_people_of_the_demo_found_is_not_real(run: Run) -> None:
    owner = run("createdemo", "--json").json["personal_access_tokens"]["owner"]["token"]
    organizations.create_organization(identify(owner, timezone.now()), name="northwind")
    assert run("createdemo").status == 0


def test_even_by_force_it_takes_over_no_real_organization(run: Run) -> None:
    owner = UserFactory()
    acme = make_organization("Acme", owner)
    token = make_api_token(acme)
    ran = run("createdemo", "--force")
    assert ran.status == 2
    assert "Rename it" in ran.err
    assert not User.objects.get_queryset().filter(created_by="createdemo").exists()  # all or nothing
    identify(token.token, timezone.now())


def test_even_by_force_it_takes_over_no_real_person(run: Run) -> None:
    person = UserFactory(email="member@acme.example")
    join(person, make_organization("initech"))
    ran = run("createdemo", "--force")
    assert ran.status == 2
    assert "another address" in ran.err
    assert authenticate(username=person.email, password=UserFactory.password) == person
    assert not Organization.objects.filter(name="acme").exists()


def test_json_stands_alone_on_the_stdout_of_a_process(shell: Shell, demo: dict[str, Any]) -> None:
    again = shell("createdemo", "--json")
    assert again.status == 0
    assert again.json["organizations"] == demo["organizations"]
    assert again.err == ""
