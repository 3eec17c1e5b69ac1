"""Somebody pastes what leaked, sees which of their tokens are in it, and ends them in one step."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from audit.models import Event
from tests.conftest import World
from tests.factories import make_api_token, make_personal_token
from tokens import secret, usage
from tokens.models import APIToken, Token
from tokens.secret import TokenKind

Desk = Callable[..., Any]


@pytest.fixture
def desk() -> Desk:
    """desk(user, text=..., token=[ids], deed=...): what the page answers."""

    def send(user: User | None, **given: Any) -> Any:
        client = Client()
        if user is not None:
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client.post("/leaks/", given)

    return send


def names(page: Any) -> list[str]:
    return re.findall(r"<label[^>]*>(.*?)</label>", page.content.decode())


def test_one_logs_in_before_anything_is_searched(world: World, desk: Desk) -> None:
    token = make_api_token(world.acme, "read")

    assert Client().get("/leaks/")["Location"] == "/login/?next=/leaks/"
    assert desk(None, text=token.token).status_code == 302
    bearer = {"authorization": f"Bearer {make_personal_token(world.owner, 'read').token}"}
    assert Client().get("/leaks/", headers=bearer).status_code == 302


def test_what_is_found_is_shown_with_owner_state_and_use_and_never_its_value(
    world: World, desk: Desk
) -> None:
    machine, mine = (
        make_api_token(world.acme, "read", name="ci"),
        make_personal_token(world.owner, name="mine"),
    )
    usage.accepted(machine, [usage.Use("apiTokens", "read:tokens", "ok")], "203.0.113.7", machine.created_at)
    usage.flush()

    page = desk(world.owner, text=f"GET /?t={machine.token}\n{mine.token} and again {mine.token}")

    shown = page.content.decode()
    assert names(page) == ["ci", "mine"]
    assert "The text holds 2 tokens" in shown
    assert "203.0.113.7" in shown
    assert ">acme<" in shown
    assert machine.token not in shown
    assert mine.token not in shown
    assert page["Cache-Control"].startswith("max-age=0")


def test_what_is_others_is_counted_and_not_shown(world: World, desk: Desk) -> None:
    theirs = [
        make_api_token(world.globex, "read", name="secret"),
        make_personal_token(world.admin, name="secret"),
    ]

    page = desk(world.owner, text=" ".join(token.token for token in theirs))

    assert "2 more belong to others" in page.content.decode()
    assert "secret" not in page.content.decode()


def test_near_misses_and_foreign_tokens_are_not_ours(world: World, desk: Desk) -> None:
    token = make_api_token(world.acme, "read").token
    unknown = secret.mint(TokenKind.API)

    assert "There is no token in it" in desk(world.owner, text=token[:-1] + "!").content.decode()
    assert "The text holds 1 token; 0 of them" in desk(world.owner, text=unknown).content.decode()


def test_the_chosen_are_revoked_with_one_event_each(world: World, desk: Desk) -> None:
    tokens: list[Token] = [make_api_token(world.acme, "read"), make_personal_token(world.owner)]
    kept = make_api_token(world.acme, "read")

    page = desk(world.owner, token=[str(token.pk) for token in tokens], deed="revoke")

    assert page.content.decode().count("Revoked") == 2
    for token in tokens:
        token.refresh_from_db()
        assert (token.is_active, token.revoked_reason) == (False, "Found in a leak")
    kept.refresh_from_db()
    assert kept.is_active
    assert Event.objects.filter(action__endswith=".revoked").count() == 2


def test_the_chosen_are_rotated_and_the_old_values_end_at_once(world: World, desk: Desk) -> None:
    token = make_api_token(world.acme, "read")

    page = desk(world.owner, token=[str(token.pk)], deed="rotate")

    successor = APIToken.objects.get(rotated_from=token)
    assert len(secret.PATTERN.findall(page.content.decode())) == 1
    assert successor.hint in page.content.decode()
    token.refresh_from_db()
    assert token.state(token.overlap_ends_at) == "rotated"  # type: ignore[arg-type]
    again = desk(world.owner, token=[str(token.pk)], deed="rotate").content.decode()
    assert "Only a token that works can be rotated" in again


@pytest.mark.parametrize("deed", ["revoke", "rotate"])
@pytest.mark.parametrize("who", ["auditor", "member", "outsider"])
def test_nobody_ends_what_they_may_not_manage(world: World, desk: Desk, who: str, deed: str) -> None:
    token = make_api_token(world.acme, "read")

    desk(getattr(world, who), token=[str(token.pk), "junk"], deed=deed)

    token.refresh_from_db()
    assert token.is_active
    assert token.overlap_ends_at is None


def test_a_page_from_elsewhere_ends_nothing(world: World) -> None:
    token = make_api_token(world.acme, "read")
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.owner, backend="django.contrib.auth.backends.ModelBackend")

    assert client.post("/leaks/", {"token": [str(token.pk)], "deed": "revoke"}).status_code == 403
    token.refresh_from_db()
    assert token.is_active


@pytest.mark.parametrize("given", [{}, {"text": " "}], ids=["nothing", "blank"])
def test_an_empty_search_is_told(world: World, desk: Desk, given: dict[str, str]) -> None:
    page = desk(world.owner, **given)

    assert (page.status_code, "Paste a text, or choose a file." in page.content.decode()) == (400, True)


def test_a_file_of_ten_megabytes_is_searched_in_two_seconds_and_a_larger_one_is_refused(
    world: World, desk: Desk
) -> None:
    token = make_api_token(world.acme, "read", name="ci")
    line = b"2030-06-01 12:00:00 GET /controls 200 tola_not-a-token-but-nearly-one 12 ms\n"
    noise = line * (10_000_000 // len(line))
    begun = time.process_time()

    page = desk(world.owner, file=SimpleUploadedFile("app.log", noise + token.token.encode()))

    assert time.process_time() - begun < 2
    assert names(page) == ["ci"]
    large = desk(world.owner, file=SimpleUploadedFile("app.log", noise + noise))
    assert (large.status_code, "more than 10 MiB" in large.content.decode()) == (400, True)
