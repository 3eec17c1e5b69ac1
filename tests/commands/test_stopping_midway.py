"""A revocation stopped midway leaves each token alive, or dead with its event; a re-run completes it."""

import signal
import sqlite3
from typing import Any

from audit.models import Event
from tests.commands.conftest import Run, Shell
from tests.conftest import World
from tests.factories import SETUP, make_api_token
from tokens import services
from tokens.models import APIToken


def test_whoever_stops_after_one_batch_finds_it_done_and_the_rest_untouched(run: Run, world: World) -> None:
    for _ in range(5):
        make_api_token(world.acme)
    batches = services.revoke_many(SETUP, APIToken.objects.all(), reason="first run", batch_size=2)
    next(batches)
    batches.close()
    assert APIToken.objects.filter(revoked_reason="first run").count() == 2
    ran = run("revoketokens", "--all", "--reason", "second run", "--yes", "--json")
    assert len(ran.ids) == 3
    assert APIToken.objects.filter(revoked_at__isnull=True).count() == 0
    assert Event.objects.filter(action="api_token.revoked").count() == 5


def test_a_killed_process_is_completed_by_the_next(shell: Shell, demo: dict[str, Any]) -> None:
    process = shell.start("revoketokens", "--all", "--reason", "first run", "--yes", "--batch-size", "1")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("revoked 2 of 8"):
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    revoked, events = counts(shell)
    assert 2 <= revoked <= 8  # it may have got further before the signal came
    assert events == revoked
    again = shell("revoketokens", "--all", "--reason", "second run", "--yes", "--json")
    assert again.status == (0 if revoked < 8 else 1)
    assert len(again.ids) == 8 - revoked
    assert counts(shell) == (8, 8)


def counts(shell: Shell) -> tuple[int, int]:
    """(revoked tokens, events that say so), read behind Django's back."""
    with sqlite3.connect(shell.folder / "database" / "db.sqlite3") as database:
        (revoked,) = database.execute(
            "SELECT (SELECT count(*) FROM tokens_apitoken WHERE revoked_at IS NOT NULL)"
            " + (SELECT count(*) FROM tokens_personalaccesstoken WHERE revoked_at IS NOT NULL)"
        ).fetchone()
        (events,) = database.execute(
            "SELECT count(*) FROM audit_event WHERE action LIKE '%token.revoked'"
        ).fetchone()
    return revoked, events
