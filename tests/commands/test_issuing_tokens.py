"""issuetoken: a token from the shell works, and its value is shown once, in one place."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts import services as accounts
from audit.models import Event
from organizations import services as organizations
from tests.commands.conftest import Run
from tests.conftest import World
from tests.factories import SETUP
from tokens.authentication import identify
from tokens.models import APIToken, PersonalAccessToken


def test_an_api_token_works_and_its_value_stands_alone_on_stdout(run: Run, world: World) -> None:
    ran = run(
        "issuetoken", "--organization", "acme", "--name", "deploy", "--scope", "read", "--scope", "task:write"
    )
    assert ran.status == 0
    principal = identify(ran.out.removesuffix("\n"), timezone.now())
    assert principal.token.name == "deploy"
    assert principal.token.owner_id == world.acme.pk
    assert principal.token.scopes == ["read", "task:write"]
    assert ran.out.strip() not in ran.err
    event = Event.objects.get(target_id=str(principal.token.pk))
    assert (event.action, event.actor_kind, event.actor_id) == ("api_token.created", "command", "issuetoken")


def test_a_personal_token_works_for_its_person(run: Run, world: World) -> None:
    ran = run("issuetoken", "--user", "owner@example.org", "--name", "laptop")
    principal = identify(ran.out.strip(), timezone.now())
    assert principal.user == world.owner
    assert principal.can("admin:tokens", world.acme.pk)


def test_a_personal_token_reaches_only_the_organizations_named(run: Run, world: World) -> None:
    ran = run("issuetoken", "--user", str(world.both.pk), "--name", "one", "--organizations", "globex")
    assert identify(ran.out.strip(), timezone.now()).organization_ids == (world.globex.pk,)


def test_json_has_the_value_and_what_else_there_is_to_know(run: Run, world: World) -> None:
    ran = run("issuetoken", "--organization", "acme", "--name", "deploy", "--scope", "read", "--json")
    token = APIToken.objects.with_value(ran.json["token"]).get()
    assert ran.json["id"] == str(token.pk)
    assert ran.json["owner"] == {"id": str(world.acme.pk), "name": "acme"}
    assert (ran.json["kind"], ran.json["state"]) == ("api", "active")


@time_machine.travel("2030-01-01T12:00:00Z", tick=False)
@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("--expires-in", "90d", datetime(2030, 4, 1, 12, tzinfo=UTC)),
        ("--expires-in", "36h", datetime(2030, 1, 3, tzinfo=UTC)),
        ("--expires-at", "2030-06-01", datetime(2030, 6, 1, tzinfo=UTC)),
        ("--expires-at", "2030-06-01T02:00:00+02:00", datetime(2030, 6, 1, tzinfo=UTC)),
    ],
)
def test_the_expiry_is_a_time_or_a_duration(run: Run, world: World, option, text, expected) -> None:
    assert run("issuetoken", "--organization", "acme", "--name", "x", option, text).status == 0
    assert APIToken.objects.get().expires_at == expected


def test_a_token_that_may_do_nothing_is_pointed_out(run: Run, world: World) -> None:
    assert "may do nothing" in run("issuetoken", "--organization", "acme", "--name", "x").err


API = ["--organization", "acme", "--name", "x"]
PERSONAL = ["--user", "owner@example.org", "--name", "x"]
MISTAKES = [
    ("no owner", ["--name", "x"], "one of the arguments"),
    ("two owners", [*API, "--user", "owner@example.org"], "not allowed with"),
    ("unknown organization", ["--organization", "nowhere", "--name", "x"], "no such organization"),
    ("unknown person", ["--user", "nobody@example.org", "--name", "x"], "no such person"),
    ("no name", ["--organization", "acme"], "--name"),
    ("empty name", ["--organization", "acme", "--name", ""], "name: "),
    ("a name with a line break", ["--organization", "acme", "--name", "a\nb"], "one line"),
    ("unknown scope", [*API, "--scope", "raed"], 'Did you mean "read"?'),
    ("a scope twice", [*API, "--scope", "read:tokens", "--scope", "token:read"], "twice"),
    ("past expiry", [*API, "--expires-at", "2020-01-01"], "in the future"),
    ("naive expiry", [*API, "--expires-at", "2040-01-01T00:00:00"], "is no date or time"),
    ("endless expiry", [*API, "--expires-in", "999999w"], "after the year 9999"),
    ("two expiries", [*API, "--expires-in", "1d", "--expires-at", "2040-01-01"], "not allowed with"),
    ("an API token elsewhere", [*API, "--organizations", "globex"], "goes with --user"),
    ("a foreign organization", [*PERSONAL, "--organizations", "globex"], "is no member of globex"),
    ("an unknown organization", [*PERSONAL, "--organizations", "nowhere"], "no such organization"),
]


@pytest.mark.parametrize(
    ("options", "expected"), [case[1:] for case in MISTAKES], ids=[c[0] for c in MISTAKES]
)
def test_bad_usage_is_status_2_and_issues_nothing(run: Run, world: World, options, expected) -> None:
    ran = run("issuetoken", *options)
    assert (ran.status, ran.out) == (2, "")
    assert expected in ran.err
    assert not APIToken.objects.exists()
    assert not PersonalAccessToken.objects.exists()


def test_no_token_is_issued_that_could_not_work(run: Run, world: World) -> None:
    accounts.deactivate(SETUP, world.member)
    assert run("issuetoken", "--user", "member@example.org", "--name", "x").status == 2
    organizations.delete_organization(SETUP, world.globex)
    assert run("issuetoken", "--organization", str(world.globex.pk), "--name", "x").status == 2


def test_the_longest_life_is_the_services_to_decide(run: Run, world: World) -> None:
    ran = run("issuetoken", *API, "--expires-in", f"{timedelta(days=365 * 101).days}d")
    assert ran.status == 2
    assert "100 years" in ran.err
