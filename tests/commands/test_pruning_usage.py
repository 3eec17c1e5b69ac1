"""prunetokenusage: old rows go, younger ones and what tokens know of themselves stay."""

from datetime import date, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine
from django.utils import timezone

from tests.commands.conftest import Run
from tests.conftest import World
from tests.factories import make_api_token
from tokens import usage
from tokens.models import APIToken, TokenUsage

TODAY = date(2030, 6, 1)


@pytest.fixture(autouse=True)
def today(db: None):
    with time_machine.travel(datetime(2030, 6, 1, 12, tzinfo=timezone.get_default_timezone()), tick=False):
        yield


def rows(*ages: int) -> None:
    now = timezone.now()
    TokenUsage.objects.bulk_create(
        TokenUsage(
            token_id=uuid4(),
            day=TODAY - timedelta(days=age),
            operation="x",
            outcome="ok",
            count=1,
            first_seen_at=now,
            last_seen_at=now,
        )
        for age in ages
    )


def ages() -> list[int]:
    return [(TODAY - day).days for day in TokenUsage.objects.order_by("-day").values_list("day", flat=True)]


def test_rows_older_than_the_retention_are_deleted(run: Run, settings) -> None:
    settings.USAGE_RETENTION_DAYS = 30
    rows(0, 29, 30, 31, 400)
    ran = run("prunetokenusage", "--json")
    assert ran.json == {"dry_run": False, "before": "2030-05-02", "matched": 2, "deleted": 2}
    assert ages() == [0, 29, 30]


def test_older_than_decides_otherwise(run: Run) -> None:
    rows(0, 6, 7, 8)
    assert "Deleted 1 rows from before 2030-05-25" in run("prunetokenusage", "--older-than", "1w").out
    assert ages() == [0, 6, 7]


def test_a_dry_run_deletes_nothing(run: Run) -> None:
    rows(0, 500)
    ran = run("prunetokenusage", "--dry-run", "--json")
    assert ran.json == {"dry_run": True, "before": "2029-04-27", "matched": 1, "deleted": 0}
    assert ages() == [0, 500]


def test_it_goes_in_batches_and_can_be_stopped_after_any(db: None) -> None:
    rows(*range(40, 47))
    batches = usage.prune(TODAY - timedelta(days=30), batch_size=3)
    assert next(batches) == 3
    batches.close()
    assert ages() == [40, 41, 42, 43]  # the oldest went first
    assert list(usage.prune(TODAY - timedelta(days=30), batch_size=3)) == [3, 1]
    assert ages() == []


def test_a_second_run_has_nothing_to_do_and_is_no_failure(run: Run) -> None:
    ran = run("prunetokenusage", "--json")
    assert (ran.status, ran.json["deleted"]) == (0, 0)


def test_the_counters_of_a_token_outlive_its_rows(run: Run, world: World) -> None:
    token = make_api_token(world.acme)
    usage.accepted(token, [usage.Use("x", "", "ok")], "", timezone.now() - timedelta(days=500))
    usage.flush()
    run("prunetokenusage")
    assert ages() == []
    assert APIToken.objects.get().usage_count == 1


def test_progress_goes_to_stderr(run: Run) -> None:
    rows(500)
    ran = run("prunetokenusage", "--json")
    assert "deleted 1 of 1" in ran.err
    assert ran.json["deleted"] == 1
