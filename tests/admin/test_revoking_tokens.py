"""Revoking asks first, needs a reason, says what it hits, and is for good."""

from typing import Any

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from audit.models import Event
from tests.admin.conftest import Desk, Fields, last_event, text
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tokens import services
from tokens.models import APIToken, State, Token

LIST = "tokens_apitoken_changelist"
REVOKE = "tokens_apitoken_revoke"


def choose(desk: Desk, *tokens: Token, **more: Any) -> Any:
    """Tick the boxes of a list and choose the action."""
    return desk.post(
        LIST, action="revoke_chosen", _selected_action=[str(token.pk) for token in tokens], **more
    )


def confirm(desk: Desk, asked: Any, reason: str) -> Any:
    return desk.post(REVOKE, **(Fields(text(asked)).sent | {"reason": reason}))


def test_choosing_tokens_revokes_nothing_yet_and_shows_what_would_be_hit(desk: Desk, world: World) -> None:
    one, other = make_api_token(world.acme, name="deploy"), make_api_token(world.globex, name="backup")
    services.revoke(SETUP, other, reason="leaked")
    asked = choose(desk, one, other)
    assert asked.status_code == 200
    for shown in ("deploy", one.hint, "acme", "backup", other.hint, "globex", "never"):
        assert shown in text(asked)
    assert "1 token will stop working" in text(asked)
    assert "1 of these is revoked already" in text(asked)
    one.refresh_from_db()
    assert one.revoked_at is None


def test_after_a_reason_they_are_refused_on_the_next_request(desk: Desk, world: World, query: Query) -> None:
    tokens = [make_api_token(world.acme, "read") for _ in range(2)]
    answer = confirm(desk, choose(desk, *tokens), "key rotation")
    assert answer.status_code == 302
    for token in tokens:
        assert query("{ viewer { id } }", token=token.token).status == 401
        token.refresh_from_db()
        assert token.revoked_reason == "key rotation"
        assert token.revoked_by == str(desk.user.pk)
    assert Event.objects.filter(action="api_token.revoked", actor_kind="operator").count() == 2


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501, "a\x00b"])
def test_without_a_usable_reason_nothing_is_revoked(desk: Desk, world: World, reason: str) -> None:
    token = make_api_token(world.acme)
    asked = confirm(desk, choose(desk, token), reason)
    assert asked.status_code == 200
    assert "errorlist" in text(asked)
    token.refresh_from_db()
    assert token.revoked_at is None
    assert Fields(text(asked)).sent["tokens"] == [str(token.pk)]


def test_the_button_on_a_tokens_page_leads_to_the_same_question(desk: Desk, world: World) -> None:
    token = make_personal_token(world.member)
    link = f"{reverse('admin:tokens_personalaccesstoken_revoke')}?tokens={token.pk}"
    assert link in text(desk.get("tokens_personalaccesstoken_change", token.pk))
    asked = desk.client.get(link)
    assert token.hint in text(asked)
    desk.post("tokens_personalaccesstoken_revoke", **(Fields(text(asked)).sent | {"reason": "left"}))
    assert last_event("personal_access_token.revoked").changes == {"reason": "left"}


def test_what_was_confirmed_is_hit_even_when_it_no_longer_matches_the_filter(
    desk: Desk, world: World
) -> None:
    token = make_api_token(world.acme)
    url = reverse(f"admin:{LIST}") + "?use=never"
    asked = desk.client.post(url, {"action": "revoke_chosen", "_selected_action": [str(token.pk)]})
    APIToken.objects.filter(pk=token.pk).update(last_used_at=token.created_at)
    confirm(desk, asked, "unused")
    token.refresh_from_db()
    assert token.revoked_reason == "unused"


def test_revoking_twice_keeps_the_first_reason_time_and_actor(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme)
    with time_machine.travel("2030-01-01T00:00:00Z", tick=False):
        services.revoke(SETUP, token, reason="leaked")
    desk.post(REVOKE, tokens=[str(token.pk)], reason="again")
    after = APIToken.objects.get()
    assert (after.revoked_reason, after.revoked_by, after.revoked_at) == (
        "leaked",
        SETUP.id,
        token.revoked_at,
    )
    assert Event.objects.filter(action="api_token.revoked").count() == 1


def test_a_revoked_token_stays_revoked_whatever_a_form_says(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme)
    services.revoke(SETUP, token, reason="leaked")
    desk.submit(
        "tokens_apitoken_change",
        token.pk,
        name="renamed",
        is_active="on",
        revoked_at="",
        revoked_at_0="",
        revoked_at_1="",
        revoked_reason="",
        scopes=["admin"],
        expires_at_0="2099-01-01",
        expires_at_1="00:00",
    )
    after = APIToken.objects.get()
    assert (after.name, after.is_active, after.revoked_reason) == ("renamed", False, "leaked")
    assert (after.scopes, after.expires_at) == ([], None)


def test_a_reason_that_holds_a_token_is_cut(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme)
    desk.post(REVOKE, tokens=[str(token.pk)], reason=f"found {token.token} in a wiki")
    assert APIToken.objects.get().revoked_reason == "found tola_[redacted] in a wiki"
    assert token.token not in str([vars(one) for one in (*Event.objects.all(), *LogEntry.objects.all())])


@pytest.mark.parametrize("ids", [[], ["nonsense"], ["01890a5d-ac96-774b-bcce-b302099a8057"]])
def test_an_impossible_choice_is_told_and_revokes_nothing(desk: Desk, world: World, ids: list[str]) -> None:
    token = make_api_token(world.acme)
    answer = desk.post(REVOKE, tokens=[*ids, *([str(token.pk)] if ids else [])], reason="because")
    assert answer.status_code == 302
    assert "error" in text(desk.client.get(answer["Location"]))
    assert desk.post(LIST, action="revoke_chosen", _selected_action=ids).status_code in (200, 302)
    token.refresh_from_db()
    assert token.revoked_at is None


def test_too_many_at_once_are_left_to_the_command(
    desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokens.admin_deeds.Revoking.most", 1)
    tokens = [make_api_token(world.acme) for _ in range(2)]
    answer = choose(desk, *tokens)
    assert "manage.py revoketokens" in text(desk.client.get(answer["Location"]))
    answer = desk.post(REVOKE, tokens=[str(token.pk) for token in tokens], reason="because")
    assert not APIToken.objects.filter(revoked_at__isnull=False).exists()


def test_deleting_says_what_happens_and_leaves_a_tombstone(desk: Desk, world: World, query: Query) -> None:
    token = make_api_token(world.acme, "read")
    asked = desk.get("tokens_apitoken_delete", token.pk)
    assert "stops working from the next request on" in text(asked)
    desk.post("tokens_apitoken_delete", token.pk, post="yes")
    assert APIToken.objects.get().state(token.created_at) is State.DELETED
    assert query("{ viewer { id } }", token=token.token).status == 401
    assert last_event("api_token.deleted").actor_kind == "operator"


def test_a_tombstone_can_be_looked_at_and_nothing_else(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme)
    services.delete_token(SETUP, token)
    page = desk.get("tokens_apitoken_change", token.pk)
    assert page.status_code == 200
    assert "View API token" in text(page)
    assert desk.post("tokens_apitoken_change", token.pk, name="ghost").status_code == 403
    assert desk.post("tokens_apitoken_delete", token.pk, post="yes").status_code == 403


def test_no_list_offers_to_delete_rows_in_bulk(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme)
    for page in (LIST, "organizations_organization_changelist", "accounts_user_changelist"):
        assert "delete_selected" not in text(desk.get(page))
    desk.post(LIST, action="delete_selected", _selected_action=[str(token.pk)], post="yes")
    assert APIToken.objects.get().deleted_at is None
