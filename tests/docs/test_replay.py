"""docs/replay.py: what it lets pass as the same answer, what it does not, and what it never shows."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from docs import replay
from tokens import secret

ONE, OTHER = str(UUID(int=1)), str(UUID(int=2))


@pytest.fixture
def run(tmp_path: Path) -> replay.Run:
    return replay.Run("http://127.0.0.1:1", tmp_path, {"OWNER": ONE})


def test_every_operation_has_an_example() -> None:
    assert replay.root_fields() - set(replay.asked(replay.DOCUMENT.read_text())) == set()


def test_an_operation_that_is_only_mentioned_has_none() -> None:
    nested = "```graphql\n{ me { id } user: viewer { organizations { id } } }\n```\n"
    posted = """```sh\ncurl -d '{"query": "{ scopes { name } }"}' # groups\n```\n"""
    assert list(replay.asked(nested + posted)) == ["me", "viewer", "scopes"]


def test_a_value_is_the_same_wherever_its_name_is(run: replay.Run) -> None:
    assert run.named({"group": {"id": OTHER}}, {"group": {"id": "<SALES>"}}) == {"group": {"id": "<SALES>"}}
    assert run.filled('{ group(id: "<SALES>") }') == f'{{ group(id: "{OTHER}") }}'
    assert run.named({"id": OTHER, "by": f"by {ONE}"}, None) == {"id": "<SALES>", "by": "by <OWNER>"}


@pytest.mark.parametrize("documented", ["<OWNER>", "<SALES>", ONE, None])
def test_another_value_never_passes_for_a_known_one(run: replay.Run, documented: Any) -> None:
    run.values["SALES"] = ONE
    assert run.named([{"id": OTHER}], [{"id": documented}]) != [{"id": documented}]


def test_the_order_of_keys_is_the_documents(run: replay.Run) -> None:
    named = run.named(
        {"hint": "none", "new": 1, "name": "laptop"}, {"name": "laptop", "hint": "none", "gone": 2}
    )
    assert list(named) == ["name", "hint", "new"]


def test_a_time_is_any_time_and_nothing_else(run: replay.Run) -> None:
    times = ["2026-11-22T23:13:36.789678Z", "2026-11-22T23:13:36+00:00", "soon", None]
    assert run.named(times, None) == ["<TIME>", "<TIME>", "soon", None]


@pytest.mark.parametrize("text", ["{}", "it is {}, keep it", "x{}x"])
def test_no_token_is_shown_named_or_not(run: replay.Run, text: str) -> None:
    token = secret.mint(secret.TokenKind.API)
    run.values["HINT"] = token[:9]
    for _ in "before", "after":
        assert not re.search(r"tol[ap]_\w{5}", str(run.named({"token": text.format(token)}, None)))
        run.values["A_TOKEN_OF_THEIRS"] = token


def test_a_request_that_names_what_nobody_has_seen_fails(run: replay.Run) -> None:
    played = replay.EXAMPLE.sub(run.example, '```graphql\n{ group(id: "<SALES>") { id } }\n```\n')
    assert run.faults == ["not sent: no answer has shown <SALES>"]
    assert run.faults[0] in played


def test_json_is_laid_out_in_lines_that_fit() -> None:
    value = {"edges": [{"node": {"name": "n" * 60, "scopes": ["read"], "tags": ["t" * 40]}}] * 2, "first": []}
    lines = replay.layout({"data": value}).splitlines()
    assert max(map(len, lines)) <= replay.WIDTH
    assert '"first": []' in lines[-3]
