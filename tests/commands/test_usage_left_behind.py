"""flushtokenusage: what a process could not write before it ended is counted later, once."""

import json
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as config
from django.db import OperationalError, connection
from django.utils import timezone

from tests.commands.conftest import Run, Shell
from tests.conftest import World
from tests.factories import make_api_token, make_personal_token
from tokens import spool, usage
from tokens.models import TokenUsage
from tokens.usage import Use

MOMENT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture(autouse=True)
def folder(settings, tmp_path: Path) -> Path:
    settings.USAGE_SPOOL_DIR = tmp_path / "spool"
    return settings.USAGE_SPOOL_DIR


def left_behind(*tokens: Any, now: datetime = MOMENT) -> Path:
    """Each token used once, by a process that ended without a database."""
    for token in tokens:
        usage.accepted(token, [Use("tokens", "read:tokens", "ok")], "192.0.2.1", now)
    path = usage.spill()
    assert path is not None
    return path


def counts(token: Any) -> tuple[int, datetime | None, int]:
    """(uses of the token, last use, uses in the rollup)."""
    token.refresh_from_db()
    rows = TokenUsage.objects.filter(token_id=token.pk).values_list("count", flat=True)
    return token.usage_count, token.last_used_at, sum(rows)


def test_uses_are_counted_as_if_they_had_been_written_at_once(run: Run, world: World) -> None:
    token, personal = make_api_token(world.acme), make_personal_token(world.owner)
    path = left_behind(token, token, personal)
    ran = run("flushtokenusage", "--json")
    assert ran.json == {
        "dry_run": False,
        "files": [
            {
                "file": path.name,
                "spilled_at": ran.json["files"][0]["spilled_at"],
                "rows": 2,
                "requests": 3,
                "result": "written",
            }
        ],
    }
    assert counts(token) == (2, MOMENT, 2)
    assert counts(personal) == (1, MOMENT, 1)
    row = TokenUsage.objects.get(token_id=token.pk)
    assert (row.operation, row.scope, row.address, row.outcome) == (
        "tokens",
        "read:tokens",
        "192.0.2.1",
        "ok",
    )
    assert (row.first_seen_at, row.last_seen_at, row.day) == (MOMENT, MOMENT, MOMENT.date())
    assert not path.exists()


def test_refusals_are_among_what_is_left_behind(run: Run, world: World) -> None:
    token = make_api_token(world.acme)
    usage.refused(token, "TOKEN_EXPIRED", "192.0.2.1", MOMENT)
    usage.spill()
    assert run("flushtokenusage").status == 0
    assert counts(token) == (0, None, 1)


def test_the_file_is_for_its_owner_alone_and_holds_no_secret(world: World, folder: Path) -> None:
    token = make_api_token(world.acme)
    usage.redigest(token, token.digest, "test")
    path = left_behind(token)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    content = path.read_text()
    assert str(token.pk) in content
    assert token.token not in content
    assert token.hint not in content
    assert token.digest.hex() not in content
    assert "test" not in json.loads(content)["rows"]
    assert list(folder.iterdir()) == [path]


def test_nothing_gathered_leaves_no_file(db: None, folder: Path, run: Run) -> None:
    assert usage.spill() is None
    assert not folder.exists()
    ran = run("flushtokenusage")
    assert (ran.status, ran.out) == (0, "")
    assert "Nothing waits" in ran.err


def test_a_file_counts_once_even_if_it_comes_back(run: Run, world: World, tmp_path: Path) -> None:
    """As it does when the process dies between its commit and the removal of the file."""
    token = make_api_token(world.acme)
    path = left_behind(token)
    kept = shutil.copy(path, tmp_path / "kept")
    run("flushtokenusage")
    shutil.copy(kept, path)
    again = run("flushtokenusage", "--json")
    assert [file["result"] for file in again.json["files"]] == ["was written before"]
    assert counts(token) == (1, MOMENT, 1)
    assert not path.exists()


def test_two_who_read_the_same_file_count_it_once(world: World) -> None:
    token = make_api_token(world.acme)
    mine = theirs = spool.read(left_behind(token))
    assert [usage.take_in(mine), usage.take_in(theirs)] == [True, False]
    assert counts(token) == (1, MOMENT, 1)


def test_a_dry_run_says_what_waits_and_leaves_it(run: Run, world: World) -> None:
    token = make_api_token(world.acme)
    path = left_behind(token)
    ran = run("flushtokenusage", "--dry-run")
    assert path.name in ran.out
    assert "waits" in ran.out
    assert path.exists()
    assert counts(token) == (0, None, 0)


def test_what_cannot_be_written_waits_on(run: Run, world: World) -> None:
    token = make_api_token(world.acme)
    path = left_behind(token)

    def refuse(execute, sql, params, many, context):
        if sql.startswith("UPDATE"):
            raise OperationalError("the disk is full")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        assert run("flushtokenusage").status == 3
    assert path.exists()
    assert counts(token) == (0, None, 0)
    assert run("flushtokenusage").status == 0
    assert counts(token) == (1, MOMENT, 1)


BROKEN = [
    "",
    "{",
    "[]",
    "null",
    '{"id": 1, "spilled_at": 2, "rows": 3}',
    '{"id": "01a204f7-19a8-7711-a336-e6262fa279dd", "spilled_at": "2030-01-01T00:00:00+00:00", "rows": {}}',
    '{"id": "01a204f7-19a8-7711-a336-e6262fa279dd", "spilled_at": "2030-01-01T00:00:00+00:00",'
    ' "rows": {"rollup": [[1, 2]], "uses": []}}',
    '{"id": "01a204f7-19a8-7711-a336-e6262fa279dd", "spilled_at": "2030-01-01T00:00:00+00:00",'
    ' "rows": {"rollup": [], "uses": [["tolx", "x", 1, "", ""]]}}',
]


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_that_is_not_ours_stays_and_stops_no_other(
    run: Run, world: World, folder: Path, content: str
) -> None:
    token = make_api_token(world.acme)
    left_behind(token)
    (folder / "0.json").write_text(content)
    ran = run("flushtokenusage", "--json")
    assert ran.status == 1
    assert [file["result"] for file in ran.json["files"]] == ["unreadable", "written"]
    assert "0.json" in ran.err
    assert counts(token) == (1, MOMENT, 1)
    assert (folder / "0.json").exists()


SERVER = """
import django, pathlib, sys
django.setup()
from django.db import connection
from django.utils import timezone
from tokens import usage
from tokens.models import APIToken
token = APIToken.objects.get(pk=sys.argv[1])
connection.close()
folder = pathlib.Path(sys.argv[2])
folder.rename(folder.with_name("away"))
usage.accepted(token, [usage.Use("tokens", "read:tokens", "ok")], "192.0.2.1", timezone.now())
"""


def test_a_server_process_that_ends_without_a_database_loses_nothing(
    shell: Shell, demo: dict[str, Any]
) -> None:
    token_id = demo["api_tokens"]["acme"]["id"]
    database = shell.folder / "database"
    server = subprocess.run(
        [sys.executable, "-c", SERVER, token_id, str(database)],
        cwd=config.BASE_DIR,
        env=shell.environment | {"DJANGO_SETTINGS_MODULE": "config.settings", "USAGE_FLUSHER": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert server.returncode == 0, server.stderr
    assert "could not be written and waits in" in server.stderr
    (database.with_name("away")).rename(database)
    ran = shell("flushtokenusage", "--json")
    assert [file["result"] for file in ran.json["files"]] == ["written"]
    (used,) = shell("listtokens", "--id", token_id, "--json").json["tokens"]
    assert used["usage_count"] == 1
    assert used["last_used_at"] is not None


NEXT_SERVER = """
import django, sys
django.setup()
from django.utils import timezone
from tokens import usage
from tokens.models import APIToken
token = APIToken.objects.get(pk=sys.argv[1])
usage.accepted(token, [usage.Use("tokens", "read:tokens", "ok")], "192.0.2.1", timezone.now())
"""


def test_the_next_server_process_takes_in_what_the_last_one_left(
    shell: Shell, demo: dict[str, Any], settings
) -> None:
    token_id = demo["api_tokens"]["acme"]["id"]
    settings.USAGE_SPOOL_DIR = shell.folder / "spool"
    key = usage.Key(token_id, timezone.now().date(), "tokens", "read:tokens", "192.0.2.1", "ok")
    tally = usage.Tally(5, timezone.now(), timezone.now())
    spool.store(usage.Gathered({key: tally}, {(usage.APIToken, token_id): tally}).as_rows())
    server = subprocess.run(
        [sys.executable, "-c", NEXT_SERVER, token_id],
        cwd=config.BASE_DIR,
        env=shell.environment | {"DJANGO_SETTINGS_MODULE": "config.settings", "USAGE_FLUSHER": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert server.returncode == 0, server.stderr
    (used,) = shell("listtokens", "--id", token_id, "--json").json["tokens"]
    assert used["usage_count"] == 6
    assert list(settings.USAGE_SPOOL_DIR.iterdir()) == []
