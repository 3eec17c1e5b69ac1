"""tokenreport: the numbers agree with what each token says of itself, and no cell runs in a spreadsheet."""

import csv
import io
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from organizations.models import OrgMembership
from tests.commands.conftest import Run
from tests.conftest import World
from tests.factories import SETUP, make_api_token, make_organization, make_personal_token
from tokens import authentication, rotation, services, tables
from tokens.models import APIToken, PersonalAccessToken, State
from tokens.reports import TokenReport

NOW = timezone.now()


def days(count: int) -> timedelta:
    return timedelta(days=count)


@pytest.fixture
def tokens(world: World) -> None:
    """acme: one of each; the owner one, used today; globex none."""
    with time_machine.travel(NOW - days(100), tick=False):
        make_api_token(world.acme, name="old, never used")
        used = make_api_token(world.acme, name="old, used 40 days ago")
        make_api_token(world.acme, name="expired", expires_at=NOW - days(1))
        dead = make_api_token(world.acme, name="revoked, then expired", expires_at=NOW - days(1))
        services.revoke(SETUP, dead, reason="")
    APIToken.objects.filter(pk=used.pk).update(last_used_at=NOW - days(40), usage_count=1)
    with time_machine.travel(NOW, tick=False):
        make_api_token(world.acme, name="new, ends in 30 days", expires_at=NOW + days(30))
        make_api_token(world.acme, name="new, ends in 31 days", expires_at=NOW + days(31))
        services.revoke(SETUP, make_api_token(world.acme, name="revoked"), reason="")
        services.delete_token(SETUP, make_api_token(world.acme, name="deleted"))
        make_api_token(world.acme, name="not yet valid", not_before=NOW + days(1))
        rotated = make_api_token(world.acme, name="rotated, and expired since", expires_at=NOW + days(90))
        rotation.rotate(SETUP, rotated, overlap_seconds=0)
        APIToken.objects.filter(pk=rotated.pk).update(expires_at=NOW)
        create = {"organization_id": world.acme.pk, "name": "orphan", "expires_at": NOW + days(50)}
        services.create_api_token(authentication.person(world.admin), **create)
        dead = services.create_api_token(authentication.person(world.admin), **create)
        services.revoke(SETUP, dead, reason="")
        OrgMembership.objects.get(user=world.admin).delete()
        mine = make_personal_token(world.owner)
    PersonalAccessToken.objects.filter(pk=mine.pk).update(last_used_at=NOW, usage_count=1)


ACME = {
    "active": 6,
    "pending": 1,
    "expired": 1,
    "rotated": 1,
    "revoked": 3,
    "deleted": 1,
    "never_used": 5,
    "unused_30_days": 2,
    "unused_90_days": 1,
    "never_expiring": 2,
    "expiring_30_days": 1,
    "orphaned": 1,
}
OWNER = dict.fromkeys(ACME, 0) | {"active": 1, "never_expiring": 1}


@pytest.mark.usefixtures("tokens")
def test_json_counts_each_owner_and_everything_together(run: Run, world: World) -> None:
    with time_machine.travel(NOW, tick=False):
        report = run("tokenreport", "--format", "json").json
    assert report["organizations"] == [{"owner_id": str(world.acme.pk), "owner": "acme", "tokens": ACME}]
    assert report["users"] == [
        {"owner_id": str(world.owner.pk), "owner": "owner@example.org", "tokens": OWNER}
    ]
    assert report["total"] == {name: ACME[name] + OWNER[name] for name in ACME}


@pytest.mark.usefixtures("tokens")
def test_the_numbers_agree_with_the_tokens_themselves(world: World) -> None:
    report = TokenReport.of(APIToken.objects.all(), PersonalAccessToken.objects.all(), NOW)
    states = [token.state(NOW) for token in (*APIToken.objects.all(), *PersonalAccessToken.objects.all())]
    for state in State:
        assert getattr(report.total, state) == states.count(state) > 0
    assert report.total.active == sum(
        model.objects.usable(NOW).count() for model in (APIToken, PersonalAccessToken)
    )
    for age, counted in ((30, report.total.unused_30_days), (90, report.total.unused_90_days)):
        assert counted == APIToken.objects.usable(NOW).unused_since(NOW - days(age)).count()


@pytest.mark.usefixtures("tokens")
def test_a_report_takes_two_queries_and_counts_only_what_it_is_given(
    world: World, django_assert_num_queries
) -> None:
    with django_assert_num_queries(2):
        report = TokenReport.of(APIToken.objects.live(), PersonalAccessToken.objects.filter(name=""), NOW)
    assert (report.total.deleted, report.users) == (0, ())


@pytest.mark.usefixtures("tokens")
def test_the_table_ends_with_the_total(run: Run) -> None:
    with time_machine.travel(NOW, tick=False):
        lines = run("tokenreport").out.splitlines()
    assert [line.split()[0] for line in lines] == ["KIND", "organization", "user", "total"]
    assert lines[1].split()[1:] == ["acme", *map(str, ACME.values())]


def test_no_csv_cell_is_a_formula(run: Run, world: World) -> None:
    names = ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "plain, with comma"]
    for name in names:
        make_api_token(make_organization(name, world.owner))
    rows = list(csv.DictReader(io.StringIO(run("tokenreport", "--format", "csv").out)))
    assert {row["owner"] for row in rows} == {*(f"'{name}" for name in names[:4]), names[4]}
    assert rows[0]["kind"] == "organization"
    assert rows[0]["active"] == "1"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_what_starts_like_a_formula_becomes_text(start: str) -> None:
    assert tables.without_formula(f"{start}x") == f"'{start}x"
    assert tables.without_formula(f"x{start}") == f"x{start}"


def test_a_report_on_nothing_is_a_report(run: Run, world: World) -> None:
    assert run("tokenreport", "--format", "json").json["total"] == dict.fromkeys(ACME, 0)
    assert run("tokenreport", "--format", "csv").out.count("\n") == 1
    assert run("tokenreport").status == 0
