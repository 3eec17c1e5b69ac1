"""rotatetokens: each selected token gets a successor, whose value is printed once and stands nowhere else."""

import io
import re
import signal
import sqlite3
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone

from audit.models import Event
from organizations.models import OrgMembership
from tests.commands.conftest import Ran, Run, Shell
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tokens import peppers, policies, rotation, secret, services
from tokens.authentication import person
from tokens.models import APIToken, PersonalAccessToken
from tokens.policy import Mode


def outcomes(ran: Ran) -> dict[str, list[str]]:
    """Outcome -> names."""
    found: dict[str, list[str]] = {}
    for token in ran.json["tokens"]:
        found.setdefault(token["outcome"], []).append(token["name"])
    return found


def test_each_selected_token_gets_a_successor_that_works(run: Run, world: World, query: Query) -> None:
    machine, script = make_api_token(world.acme, "read"), make_personal_token(world.owner)
    other = make_api_token(world.globex)
    ran = run("rotatetokens", "--id", str(machine.pk), "--id", str(script.pk), "--yes", "--json")
    assert ran.status == 0
    assert ran.ids == {str(machine.pk), str(script.pk)}
    for listed in ran.json["tokens"]:
        successor = listed["successor"]
        (value,) = secret.find(ran.out.partition(successor["id"])[2].partition("\n")[0])
        assert value == successor["token"]
        assert query("{ viewer { id } }", token=value).status == 200
    assert (ran.json["matched"], ran.json["rotated"], ran.json["refused"]) == (2, 2, 0)
    assert not APIToken.objects.filter(rotated_from=other).exists()
    event = Event.objects.get(target_id=str(machine.pk), action="api_token.rotated")
    assert event.actor_label.startswith("manage.py rotatetokens, run by ")
    assert query("{ viewer { id } }", token=machine.token).status == 200  # for an hour


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "table"])
def test_every_new_value_stands_once_on_stdout_and_never_on_stderr(
    run: Run, world: World, options: list[str]
) -> None:
    old = [make_api_token(world.acme, name=f"machine {n}") for n in range(3)]
    ran = run("rotatetokens", "--all", "--yes", *options)
    values = list(secret.find(ran.out))
    assert len(values) == 3
    assert all(ran.out.count(value) == 1 for value in values)
    assert not set(values) & {token.token for token in old}
    assert list(secret.find(ran.err)) == []
    assert "rotated 2 of 3" in ran.err
    assert "Rotated 3 tokens." in ran.err


def test_the_table_shows_which_value_is_whose_in_columns(run: Run, world: World) -> None:
    token = make_api_token(world.acme, name="deploy")
    make_personal_token(world.owner, name="laptop")
    heading, line, other = run("rotatetokens", "--all", "--yes").out.splitlines()
    successor = APIToken.objects.get(rotated_from=token)
    assert line.startswith(str(token.pk))
    assert line[heading.index("SUCCESSOR") :].startswith(str(successor.pk))
    assert line[heading.index("HINT") :].startswith(successor.hint)
    assert line[heading.index("NAME") :].rstrip() == "deploy"
    assert other[heading.index("KIND") :].startswith("personal")


def test_a_leak_ends_the_old_value_at_once_a_routine_after_the_overlap(
    run: Run, world: World, query: Query
) -> None:
    leaked, planned = make_api_token(world.acme, "read"), make_api_token(world.acme, "read")
    run("rotatetokens", "--id", str(leaked.pk), "--reason", "leak")
    run("rotatetokens", "--id", str(planned.pk), "--overlap", "2h")
    assert query("{ viewer { id } }", token=leaked.token).status == 401
    for hours, status in ((1, 200), (3, 401)):
        with time_machine.travel(timezone.now() + timedelta(hours=hours), tick=False):
            assert query("{ viewer { id } }", token=planned.token).status == status


def test_expires_in_is_the_life_of_the_successors(run: Run, world: World) -> None:
    token = make_api_token(world.acme)
    run("rotatetokens", "--id", str(token.pk), "--expires-in", "90d")
    ends = APIToken.objects.get(rotated_from=token).expires_at
    assert ends is not None
    assert timedelta(days=89, hours=23) < ends - timezone.now() <= timedelta(days=90)


def test_a_dry_run_lists_what_it_would_hit_and_writes_nothing(run: Run, world: World) -> None:
    def everything() -> list[object]:
        return [
            list(model.objects.order_by("pk").values()) for model in (APIToken, PersonalAccessToken, Event)
        ]

    tokens = [make_api_token(world.acme), make_personal_token(world.owner)]
    services.revoke(SETUP, make_api_token(world.acme), reason="")
    before = everything()
    ran = run("rotatetokens", "--all", "--dry-run", "--json")
    assert (ran.status, ran.ids) == (0, {str(token.pk) for token in tokens})
    assert set(outcomes(ran)) == {"selected"}
    assert "Dry run: 2 tokens would be rotated. Nothing was changed." in ran.err
    assert everything() == before


def test_a_second_run_passes_over_the_old_and_the_new_ones_and_says_so(run: Run, world: World) -> None:
    token = make_api_token(world.acme, name="deploy")
    first = run("rotatetokens", "--organization", "acme", "--reason", "leak", "--json").json["tokens"][0]
    again = run("rotatetokens", "--organization", "acme", "--reason", "leak", "--json")
    assert again.status == 1
    assert outcomes(again) == {"passed over": ["deploy", "deploy"]}
    old = next(one for one in again.json["tokens"] if one["id"] == str(token.pk))
    assert old["successor"]["id"] == first["successor"]["id"]
    assert old["successor"]["token"] is None
    assert "Passed over, because of a rotation before: 2." in again.err
    assert APIToken.objects.count() == 2


def test_a_successor_is_rotated_when_named_or_when_its_rotation_is_long_over(run: Run, world: World) -> None:
    first = rotation.rotate(SETUP, make_api_token(world.acme))
    assert run("rotatetokens", "--all").status == 1
    assert run("rotatetokens", "--id", str(first.pk)).status == 0
    second = APIToken.objects.get(rotated_from=first)
    with time_machine.travel(timezone.now() + timedelta(hours=26), tick=False):
        ran = run("rotatetokens", "--all", "--json")
    assert ran.ids == {str(second.pk)}


def test_what_is_refused_is_listed_by_token_stops_nothing_and_is_status_1(run: Run, world: World) -> None:
    make_api_token(world.acme, name="endless")
    make_api_token(world.acme, name="pending", not_before=timezone.now() + timedelta(days=1))
    make_api_token(world.globex, name="elsewhere")
    policies.update_policy(SETUP, world.acme.pk, {"expiry_required_mode": Mode.ENFORCE})
    ran = run("rotatetokens", "--all", "--yes", "--json")
    assert ran.status == 1
    assert outcomes(ran) == {"refused": ["endless", "pending"], "rotated": ["elsewhere"]}
    assert "Tokens must expire here" in ran.json["tokens"][0]["why"]
    assert "Rotated 1. Refused 2, each for the reason listed." in ran.err
    table = run("rotatetokens", "--all", "--yes")
    assert (table.status, len(re.findall("refused .*Tokens must expire here", table.out))) == (1, 1)


def test_a_value_that_leaks_during_its_overlap_is_not_passed_over_as_done(run: Run, world: World) -> None:
    token = make_api_token(world.acme)
    rotation.rotate(SETUP, token, overlap_seconds=3600)
    assert outcomes(run("rotatetokens", "--id", str(token.pk), "--json")) == {"passed over": ["machine"]}
    ran = run("rotatetokens", "--id", str(token.pk), "--reason", "leak", "--json")
    assert (ran.status, outcomes(ran)) == (1, {"refused": ["machine"]})
    assert "revoke this one if its value has leaked" in ran.json["tokens"][0]["why"]


def test_the_orphaned_are_rotated_alone(run: Run, world: World) -> None:
    left = services.create_api_token(person(world.admin), organization_id=world.acme.pk, name="left behind")
    make_api_token(world.acme)
    OrgMembership.objects.get(user=world.admin).delete()
    assert run("rotatetokens", "--orphaned", "--json").ids == {str(left.pk)}


MISTAKES = [
    ("no condition", [], "at least one condition, or --all"),
    ("an overlap after a leak", ["--all", "--reason", "leak", "--overlap", "1h"], "ends at once"),
    ("an overlap that is too long", ["--all", "--overlap", "31d"], "30 days"),
    ("no overlap", ["--all", "--overlap", "soon"], "Write a number and h, d or w"),
    ("a life of centuries", ["--all", "--expires-in", "9999w"], "100 years"),
    ("an unknown reason", ["--all", "--reason", "because"], "invalid choice"),
    ("two at once, unasked", ["--all"], "--yes"),
]


@pytest.mark.parametrize(
    ("options", "expected"), [case[1:] for case in MISTAKES], ids=[c[0] for c in MISTAKES]
)
def test_bad_usage_is_status_2_and_rotates_nothing(
    run: Run, world: World, options: list[str], expected: str
) -> None:
    make_api_token(world.acme), make_api_token(world.acme)
    ran = run("rotatetokens", *options)
    assert (ran.status, ran.out) == (2, "")
    assert expected in ran.err
    assert APIToken.objects.count() == 2


class Reader(io.StringIO):
    """Gets what is flushed, and interrupts after two values."""

    got = ""

    def flush(self) -> None:
        self.got = self.getvalue()
        if len(list(secret.find(self.got))) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "table"])
def test_a_value_has_left_the_process_before_the_next_one_is_made(world: World, options: list[str]) -> None:
    for _ in range(5):
        make_api_token(world.acme)
    reader = Reader()
    with pytest.raises(CommandError, match="What was done stays done"):
        call_command("rotatetokens", "--all", "--yes", *options, stdout=reader, stderr=io.StringIO())
    made = APIToken.objects.filter(rotated_from__isnull=False)
    assert {token.digest for token in made} == {
        bytes(digest) for value in secret.find(reader.got) for digest in peppers.digests(value)
    }
    assert made.count() == 2


def test_a_killed_run_has_printed_its_values_and_the_next_completes_it(
    shell: Shell, demo: dict[str, Any]
) -> None:
    process = shell.start("rotatetokens", "--all", "--yes")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if sum("  rotated  " in each for each in lines) == 2:
            process.send_signal(signal.SIGKILL)
            break
    lines += process.communicate()[0].splitlines()
    first = {line.split("  rotated  ")[0].strip() for line in lines if "  rotated  " in line}
    before = successors(shell)
    assert first <= before.keys()
    assert len(before) - len(first) <= 1  # the one that was committed and not printed yet
    again = shell("rotatetokens", "--all", "--yes", "--json")
    assert again.status == (0 if len(before) < 8 else 1)
    listed = {token["id"]: token for token in again.json["tokens"]}
    rotated = {key for key, token in listed.items() if token["outcome"] == "rotated"}
    assert first | {key for key in before if listed[key]["outcome"] == "passed over"} == before.keys()
    assert rotated == successors(shell).keys() - before.keys()
    assert len(successors(shell)) == 8
    values = [*secret.find("".join(lines)), *secret.find(again.out)]
    assert len(values) == len(set(values)) == len(first) + len(rotated)


def successors(shell: Shell) -> dict[str, str]:
    """Old id -> successor's id, read behind Django's back."""
    with sqlite3.connect(shell.folder / "database" / "db.sqlite3") as database:
        rows = database.execute(
            "SELECT rotated_from_id, id FROM tokens_apitoken WHERE rotated_from_id IS NOT NULL"
            " UNION SELECT rotated_from_id, id FROM tokens_personalaccesstoken"
            " WHERE rotated_from_id IS NOT NULL"
        )
        return {str(UUID(old)): str(UUID(new)) for old, new in rows}
