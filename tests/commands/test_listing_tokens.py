"""listtokens: the selection of revoketokens, to look at."""

from datetime import datetime

import pytest

from tests.commands.conftest import Run
from tests.conftest import World
from tests.factories import SETUP, make_api_token, make_personal_token
from tokens import selection, services


def test_without_conditions_everything_is_listed_in_its_state(run: Run, world: World) -> None:
    active, revoked, deleted = (make_api_token(world.acme) for _ in range(3))
    personal = make_personal_token(world.owner, "read")
    services.revoke(SETUP, revoked, reason="over")
    services.delete_token(SETUP, deleted)
    listed = run("listtokens", "--json").json
    assert {token["id"]: token["state"] for token in listed["tokens"]} == {
        str(active.pk): "active",
        str(revoked.pk): "revoked",
        str(deleted.pk): "deleted",
        str(personal.pk): "active",
    }
    assert listed["count"] == 4


def test_json_tells_machines_all_but_the_value(run: Run, world: World) -> None:
    token = make_api_token(world.acme, "task:read", name="deploy", tags=["ci"])
    (listed,) = run("listtokens", "--json").json["tokens"]
    assert listed["owner"] == {"id": str(world.acme.pk), "name": "acme"}
    assert (listed["kind"], listed["name"], listed["hint"]) == ("api", "deploy", token.hint)
    assert (listed["scopes"], listed["tags"]) == (["task:read"], ["ci"])
    assert datetime.fromisoformat(listed["created_at"]).tzinfo is not None
    assert token.token not in run("listtokens", "--json").said + run("listtokens").said


def test_conditions_are_those_of_revoketokens(run: Run, world: World) -> None:
    make_api_token(world.acme)
    wanted = make_api_token(world.globex, "read:tasks")
    make_personal_token(world.owner, "read:tasks")
    ids = run("listtokens", "--organization", "globex", "--scope", "task:read", "--json").ids
    assert ids == {str(wanted.pk)}


def test_the_table_has_a_line_for_each_under_its_headings(run: Run, world: World) -> None:
    token = make_personal_token(world.owner, name="n" * 100)
    heading, line = run("listtokens").out.splitlines()
    assert heading.split()[:5] == ["ID", "KIND", "NAME", "HINT", "OWNER"]
    assert line.startswith(str(token.pk))
    assert f"{'n' * 39}… " in line
    assert line.index("owner@example.org") == heading.index("OWNER")


def test_an_old_row_with_control_characters_does_not_steer_the_terminal(run: Run, world: World) -> None:
    token = make_api_token(world.acme)
    type(token).objects.filter(pk=token.pk).update(name="a\x1b[2Jb\u202ec")
    assert "a�[2Jb�c" in run("listtokens").out


def test_nothing_to_list_is_no_failure(run: Run, world: World) -> None:
    ran = run("listtokens", "--json")
    assert (ran.status, ran.json) == (0, {"tokens": [], "count": 0})
    assert run("listtokens").err == "0 listed.\n"


def test_a_long_list_streams_in_pages(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries
) -> None:
    tokens = {str(make_api_token(world.acme).pk) for _ in range(7)}
    monkeypatch.setattr(selection, "PAGE_ROWS", 3)
    # Pages of 3, 3 and 1 with the page after the last, and the empty page of personal tokens; owners joined.
    with django_assert_num_queries(5):
        assert run("listtokens", "--json").ids == tokens


def test_many_ids_are_asked_for_in_groups(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [make_api_token(world.acme) for _ in range(5)]
    monkeypatch.setattr(selection, "IDS_PER_QUERY", 2)
    options = [option for token in tokens for option in ("--id", str(token.pk))]
    assert run("listtokens", *options, "--json").ids == {str(token.pk) for token in tokens}
