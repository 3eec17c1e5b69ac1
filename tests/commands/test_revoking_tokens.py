"""revoketokens: whom it hits, whom it spares, when it asks, what it leaves in the trail."""

import io
import sys
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from audit.models import Event
from organizations import services as organizations
from organizations.models import OrgMembership
from tests.commands.conftest import Run
from tests.conftest import World
from tests.factories import SETUP, UserFactory, make_api_token, make_personal_token
from tokens import services
from tokens.authentication import person
from tokens.models import APIToken, PersonalAccessToken

WHY = ("--reason", "test")


def days(count: int) -> timedelta:
    return timedelta(days=count)


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch):
    return lambda answer: monkeypatch.setattr(sys, "stdin", Terminal(answer))


def test_a_token_chosen_by_id_is_dead_and_says_who_did_it_and_why(run: Run, world: World) -> None:
    token, other = make_api_token(world.acme), make_api_token(world.acme)
    ran = run("revoketokens", "--id", str(token.pk), "--reason", "found in a paste")
    assert ran.status == 0
    token.refresh_from_db()
    other.refresh_from_db()
    assert (token.is_active, token.revoked_by, token.revoked_reason) == (
        False,
        "revoketokens",
        "found in a paste",
    )
    assert other.is_active
    event = Event.objects.get(target_id=str(token.pk), action="api_token.revoked")
    assert event.actor_kind == "command"
    assert event.actor_label.startswith("manage.py revoketokens, run by ")
    assert event.organization_id == world.acme.pk


SELECTIONS = [
    ("organization by name", ["--organization", "acme"], {"plain", "scoped", "expiring", "old"}),
    ("organization, letter case aside", ["--organization", "ACME"], {"plain", "scoped", "expiring", "old"}),
    ("person by e-mail", ["--user", "Owner@example.org"], {"personal", "old personal"}),
    ("exact name", ["--name", "deploy"], {"scoped"}),
    ("no pattern", ["--name", "depl%"], set()),
    ("no other letter case", ["--name", "Deploy"], set()),
    ("scope as stored", ["--scope", "read:tokens"], {"scoped", "personal"}),
    ("scope in the other spelling", ["--scope", "personal_access_token:read"], {"scoped", "personal"}),
    ("a covering scope does not count", ["--scope", "read:members"], set()),
    ("both scopes", ["--scope", "read:tokens", "--scope", "write:tasks"], {"scoped"}),
    ("API tokens", ["--kind", "api"], {"plain", "scoped", "expiring", "old", "foreign"}),
    ("personal tokens", ["--kind", "personal"], {"personal", "old personal"}),
    ("unused and old", ["--unused-for", "90d"], {"old", "old personal"}),
    ("in weeks", ["--unused-for", "12w"], {"old", "old personal"}),
    ("in hours", ["--unused-for", "2400h"], {"old", "old personal"}),
    ("expired", ["--expired"], {"expiring"}),
    ("AND: organization and name", ["--organization", "acme", "--name", "deploy"], {"scoped"}),
    ("AND: another organization", ["--organization", "globex", "--name", "deploy"], set()),
    ("AND: kind and scope", ["--kind", "personal", "--scope", "token:read"], {"personal"}),
    ("AND: an organization owns no personal token", ["--organization", "acme", "--kind", "personal"], set()),
    ("AND: old, of a person", ["--user", "owner@example.org", "--unused-for", "90d"], {"old personal"}),
    ("AND: never and expired", ["--never-expires", "--expired"], set()),
    ("--all", ["--all"], {"plain", "scoped", "expiring", "old", "foreign", "personal", "old personal"}),
    ("--all and a condition", ["--all", "--name", "deploy"], {"scoped"}),
]


@pytest.fixture
def tokens(world: World) -> dict[str, APIToken | PersonalAccessToken]:
    """One of each, by what is special about it; and one that is revoked and must never be hit."""
    now = timezone.now()
    with time_machine.travel(now - days(100), tick=False):
        old, old_personal = make_api_token(world.acme), make_personal_token(world.owner)
    with time_machine.travel(now - days(2), tick=False):
        expiring = make_api_token(world.acme, expires_at=now - days(1))
    services.revoke(SETUP, make_api_token(world.acme, "read:tokens", name="deploy"), reason="before")
    return {
        "plain": make_api_token(world.acme, "admin"),
        "scoped": make_api_token(world.acme, "api_token:read", "task:write", name="deploy"),
        "expiring": expiring,
        "old": old,
        "foreign": make_api_token(world.globex),
        "personal": make_personal_token(world.owner, "read:tokens"),
        "old personal": old_personal,
    }


@pytest.mark.parametrize(
    ("options", "expected"), [case[1:] for case in SELECTIONS], ids=[c[0] for c in SELECTIONS]
)
def test_exactly_those_that_meet_all_conditions_are_hit(run: Run, tokens, options, expected) -> None:
    would = run("revoketokens", *options, *WHY, "--dry-run", "--json")
    assert would.ids == {str(tokens[name].pk) for name in expected}
    ran = run("revoketokens", *options, *WHY, "--yes", "--json")
    assert ran.ids == would.ids
    assert ran.status == would.status == (0 if expected else 1)
    dead = {name for name, token in tokens.items() if type(token).objects.get(pk=token.pk).revoked_at}
    assert dead == expected


def test_a_use_within_the_time_spares_an_old_token(run: Run, tokens) -> None:
    APIToken.objects.filter(pk=tokens["old"].pk).update(last_used_at=timezone.now() - days(89))
    assert run("revoketokens", "--unused-for", "90d", *WHY, "--dry-run", "--json").ids == {
        str(tokens["old personal"].pk)
    }


def test_an_organization_is_not_taken_for_the_person_with_its_id(run: Run, world: World) -> None:
    twin = UserFactory(id=world.acme.pk)
    organizations_token, persons_token = make_api_token(world.acme), make_personal_token(twin)
    look = ("revoketokens", *WHY, "--dry-run", "--json")
    assert run(*look, "--organization", "acme").ids == {str(organizations_token.pk)}
    assert run(*look, "--user", twin.email).ids == {str(persons_token.pk)}


def test_created_before_takes_a_day_or_a_moment(run: Run, world: World) -> None:
    with time_machine.travel("2025-03-01T23:59:59Z", tick=False):
        before = make_api_token(world.acme)
    with time_machine.travel("2025-03-02T00:00:00Z", tick=False):
        after = make_api_token(world.acme)
    day = run("revoketokens", "--created-before", "2025-03-02", *WHY, "--dry-run", "--json")
    assert day.ids == {str(before.pk)}
    moment = run("revoketokens", "--created-before", "2025-03-02T01:00:01+01:00", *WHY, "--dry-run", "--json")
    assert moment.ids == {str(before.pk), str(after.pk)}


def test_never_expires_spares_those_that_do(run: Run, world: World) -> None:
    forever = make_api_token(world.acme)
    make_api_token(world.acme, expires_at=timezone.now() + days(1))
    assert run("revoketokens", "--never-expires", *WHY, "--dry-run", "--json").ids == {str(forever.pk)}


def test_orphaned_are_the_api_tokens_of_who_has_left(run: Run, world: World) -> None:
    maker = person(world.admin)
    left = services.create_api_token(maker, organization_id=world.acme.pk, name="left behind")
    make_api_token(world.acme), make_personal_token(world.admin)
    look = ("revoketokens", *WHY, "--dry-run", "--json", "--orphaned")
    assert run(*look).ids == set()
    OrgMembership.objects.get(user=world.admin).delete()
    assert run(*look).ids == run("listtokens", "--orphaned", "--json").ids == {str(left.pk)}
    assert run(*look, "--kind", "personal").ids == run(*look, "--organization", "globex").ids == set()


def test_several_ids_are_all_hit(run: Run, world: World) -> None:
    one, two, _ = make_api_token(world.acme), make_personal_token(world.owner), make_api_token(world.acme)
    ran = run("revoketokens", "--id", str(one.pk), "--id", str(two.pk), *WHY, "--yes", "--json")
    assert ran.ids == {str(one.pk), str(two.pk)}


def test_a_dry_run_writes_nothing_not_even_an_event(run: Run, tokens) -> None:
    def everything() -> list[object]:
        return [
            list(model.objects.order_by("pk").values()) for model in (APIToken, PersonalAccessToken, Event)
        ]

    before = everything()
    ran = run("revoketokens", "--all", *WHY, "--dry-run")
    assert ran.status == 0
    assert "Dry run: 7 tokens would be revoked. Nothing was changed." in ran.err
    assert everything() == before


def test_a_second_run_finds_nothing_and_leaves_the_first_reason(run: Run, world: World) -> None:
    token = make_api_token(world.acme)
    assert run("revoketokens", "--all", "--reason", "first").status == 0
    again = run("revoketokens", "--all", "--reason", "second", "--json")
    assert again.status == 1
    assert again.json["tokens"] == []
    token.refresh_from_db()
    assert token.revoked_reason == "first"
    assert Event.objects.filter(action="api_token.revoked").count() == 1


def test_tokens_of_a_deleted_organization_are_reached_by_its_id(run: Run, world: World) -> None:
    token = make_api_token(world.acme)
    organizations.delete_organization(SETUP, world.acme)
    assert run("revoketokens", "--organization", "acme", *WHY).status == 2
    assert run("revoketokens", "--organization", str(world.acme.pk), *WHY, "--json").ids == {str(token.pk)}


MISTAKES = [
    ("no condition", [*WHY], "at least one condition, or --all"),
    ("no reason", ["--all"], "--reason"),
    ("empty reason", ["--all", "--reason", " "], "--reason is empty"),
    ("a reason with control characters", ["--all", "--reason", "a\x1bb"], "control character"),
    ("a reason that is too long", ["--all", "--reason", "a" * 501], "500"),
    ("unknown organization", ["--organization", "nowhere", *WHY], "no such organization"),
    ("empty organization", ["--organization", "", *WHY], "no such organization"),
    ("unknown person", ["--user", "nobody@example.org", *WHY], "no such person"),
    ("empty person", ["--user", "", "--all", *WHY], "no such person"),
    ("malformed id", ["--id", "x", *WHY], "is no id"),
    ("unknown scope", ["--scope", "raed", *WHY], 'Did you mean "read"?'),
    ("unknown kind", ["--kind", "both", *WHY], "invalid choice"),
    ("unknown option", ["--everything", *WHY], "unrecognized arguments"),
    ("no duration", ["--unused-for", "90", *WHY], "Write a number and h, d or w"),
    ("empty duration", ["--unused-for", "", "--all", *WHY], "Write a number and h, d or w"),
    ("duration zero", ["--unused-for", "0d", *WHY], "Write a number and h, d or w"),
    ("negative duration", ["--unused-for=-1d", *WHY], "Write a number and h, d or w"),
    ("duration beyond time", ["--unused-for", "999999w", *WHY], "before the year 1"),
    ("no date", ["--created-before", "yesterday", *WHY], "is no date or time"),
    ("time without a zone", ["--created-before", "2025-01-01T00:00:00", *WHY], "is no date or time"),
    ("time before time", ["--created-before", "0001-01-01T00:00:00+14:00", *WHY], "is no date or time"),
    ("missing file", ["--leaked", "/nowhere/dump", *WHY], "No such file"),
    ("a folder", ["--leaked", "/", *WHY], "Is a directory"),
    ("empty batches", ["--all", "--batch-size", "0", *WHY], "1 or more"),
]


@pytest.mark.parametrize(
    ("options", "expected"), [case[1:] for case in MISTAKES], ids=[c[0] for c in MISTAKES]
)
def test_bad_usage_is_status_2_says_what_to_do_and_does_nothing(
    run: Run, world: World, options, expected
) -> None:
    token = make_api_token(world.acme)
    ran = run("revoketokens", *options, "--json")
    assert ran.status == 2
    assert expected in ran.err
    assert ran.out == ""
    token.refresh_from_db()
    assert token.is_active


def test_more_than_one_is_not_revoked_unasked(run: Run, tokens) -> None:
    ran = run("revoketokens", "--all", *WHY)
    assert ran.status == 2
    assert "7 tokens" in ran.err
    assert "--yes" in ran.err
    assert not APIToken.objects.filter(revoked_by="revoketokens").exists()


def test_one_token_is_revoked_without_asking(run: Run, world: World) -> None:
    make_api_token(world.acme)
    assert run("revoketokens", "--all", *WHY).status == 0


@pytest.mark.parametrize("answer", ["y\n", "yes\n", "YES\n"])
def test_a_person_who_agrees_sees_first_what_will_be_hit(run: Run, tokens, typing, answer: str) -> None:
    typing(answer)
    ran = run("revoketokens", "--kind", "api", *WHY, "--json")
    assert ran.status == 0
    assert "Revoke 5 tokens for good? [y/N]" in ran.err
    assert str(tokens["plain"].pk) in ran.err
    assert len(ran.ids) == 5


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "whatever\n"])
def test_anything_but_yes_is_no(run: Run, tokens, typing, answer: str) -> None:
    typing(answer)
    ran = run("revoketokens", "--all", *WHY)
    assert ran.status == 1
    assert "Nothing was revoked" in ran.err
    assert not APIToken.objects.filter(revoked_by="revoketokens").exists()


def test_no_value_is_ever_shown_and_json_stands_alone_on_stdout(run: Run, tokens) -> None:
    for options in (["--dry-run"], ["--dry-run", "--json"], ["--yes", "--json", "--batch-size", "2"]):
        ran = run("revoketokens", "--all", *WHY, *options)
        assert not [name for name, token in tokens.items() if token.token in ran.said]
        if "--json" in options:
            assert ran.json["matched"] == 7
    assert "revoked 2 of 7" in ran.err
    assert {token["state"] for token in ran.json["tokens"]} == {"revoked"}


def test_quiet_means_quiet(run: Run, world: World) -> None:
    make_api_token(world.acme)
    assert run("revoketokens", "--all", *WHY, "--verbosity", "0").err == ""
