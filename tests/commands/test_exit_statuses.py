"""What a shell script sees: the exit status, one JSON object on stdout, and nothing secret anywhere."""

import os
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings

from tests.commands.conftest import Shell


def values(demo: dict[str, Any]) -> list[str]:
    issued = [*demo["api_tokens"].values(), *demo["personal_access_tokens"].values()]
    return [token["token"] for token in issued]


def test_0_when_all_were_revoked_and_1_when_nothing_is_left(shell: Shell, demo: dict[str, Any]) -> None:
    command = ("revoketokens", "--organization", "acme", "--reason", "over", "--json")
    looked = shell(*command, "--dry-run")
    assert looked.status == 0
    done = shell(*command)
    assert done.status == 0
    assert done.ids == looked.ids == {demo["api_tokens"]["acme"]["id"]}
    again = shell(*command)
    assert (again.status, again.json["tokens"]) == (1, [])
    assert "Traceback" not in done.err + again.err
    assert not [value for value in values(demo) if value in looked.said + done.said + again.said]


@pytest.mark.parametrize(
    "command",
    [
        ["revoketokens", "--all"],  # no reason
        ["revoketokens", "--all", "--reason", "x"],  # stdin is no terminal, and there is no --yes
        ["listtokens", "--organization", "nowhere"],
        ["issuetoken", "--organization", "acme", "--name", ""],  # refused by the service
    ],
    ids=" ".join,
)
def test_2_on_bad_usage(shell: Shell, command: list[str]) -> None:
    ran = shell(*command)
    assert ran.status == 2
    assert ran.out == ""
    assert "Traceback" not in ran.err


def test_3_when_there_is_no_database(shell: Shell) -> None:
    (shell.folder / "database" / "db.sqlite3").write_bytes(b"")
    ran = shell("revoketokens", "--all", "--reason", "x", "--json")
    assert (ran.status, ran.out) == (3, "")
    assert "The database failed: no such table" in ran.err


def test_a_leak_comes_in_through_a_pipe(shell: Shell, demo: dict[str, Any]) -> None:
    leaked = demo["personal_access_tokens"]["member"]
    ran = shell("revoketokens", "--leaked", "-", "--reason", "pasted", "--json", stdin=f"x{leaked['token']}x")
    assert (ran.status, ran.ids) == (0, {leaked["id"]})
    assert leaked["token"] not in ran.said


def test_issuetoken_prints_the_value_alone(shell: Shell) -> None:
    ran = shell("issuetoken", "--organization", "acme", "--name", "deploy", "--scope", "read")
    assert ran.status == 0
    assert ran.out.startswith("tola_")
    assert len(ran.out) == 52
    assert ran.out.strip() not in ran.err


def test_a_reader_who_has_seen_enough_causes_no_traceback(shell: Shell) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "manage.py", "listtokens"],
        cwd=settings.BASE_DIR,
        env=shell.environment,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "revoketokens",
        "rotatetokens",
        "expiretokens",
        "listtokens",
        "issuetoken",
        "tokenreport",
        "flushtokenusage",
        "prunetokenusage",
        "sendnotices",
        "createdemo",
    ],
)
def test_help_has_examples_and_names_the_statuses(command: str) -> None:
    from django.core.management import load_command_class

    text = load_command_class("tokens", command).create_parser("manage.py", command).format_help()
    assert f"examples:\n  {command}" in text
    assert "exit status:\n  0 " in text
