"""Rotating shows new values on one page and nowhere else; expiring cuts lives short. Both ask first."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from audit.models import Event
from organizations.models import OrgMembership
from tests.admin.conftest import Desk, Fields, last_event, text
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tokens import policies, rotation, secret, services
from tokens.authentication import person
from tokens.models import APIToken, PersonalAccessToken, Token
from tokens.policy import Mode

LIST, ROTATE, EXPIRE = "tokens_apitoken_changelist", "tokens_apitoken_rotate", "tokens_apitoken_expire"


def choose(desk: Desk, action: str, *tokens: Token) -> Any:
    """Tick the boxes of a list and choose the action."""
    return desk.post(LIST, action=action, _selected_action=[str(token.pk) for token in tokens])


def confirm(desk: Desk, page: str, asked: Any, **typed: Any) -> Any:
    return desk.post(page, **(Fields(text(asked)).sent | typed))


@pytest.mark.parametrize("action", ["rotate_chosen", "expire_chosen"])
def test_choosing_changes_nothing_yet_and_shows_what_would_be_hit(
    desk: Desk, world: World, action: str
) -> None:
    one, other = make_api_token(world.acme, name="deploy"), make_api_token(world.globex, name="backup")
    services.revoke(SETUP, other, reason="leaked")
    before = (list(APIToken.objects.values()), Event.objects.count())
    asked = choose(desk, action, one, other)
    assert asked.status_code == 200
    for shown in (
        "deploy",
        one.hint,
        "acme",
        "backup",
        "globex",
        "1 token will",
        "1 of these is over",
        "revoked; stays as it is",
    ):
        assert shown in text(asked)
    assert (list(APIToken.objects.values()), Event.objects.count()) == before


def test_the_next_page_shows_the_new_values_once_and_they_work(
    desk: Desk, world: World, query: Query
) -> None:
    tokens = [make_api_token(world.acme, "read", name=name) for name in ("deploy", "backup")]
    shown = confirm(desk, ROTATE, choose(desk, "rotate_chosen", *tokens))
    assert shown.status_code == 200
    assert "no-store" in shown["Cache-Control"]
    values = list(secret.find(text(shown)))
    assert len(values) == 2
    assert all(text(shown).count(value) == 1 for value in values)
    for value in (*values, *(token.token for token in tokens)):  # the old ones for an hour
        assert query("{ viewer { id } }", token=value).status == 200
    assert last_event("api_token.rotated").actor_label == "root@example.org"


def test_a_new_value_is_in_no_log_message_session_or_other_page(
    desk: Desk, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = make_api_token(world.acme)
    (value,) = secret.find(text(confirm(desk, ROTATE, choose(desk, "rotate_chosen", token))))
    successor = APIToken.objects.get(rotated_from=token)
    for page in (
        desk.get("index"),
        desk.get(LIST),
        desk.get("tokens_apitoken_change", successor.pk),
        desk.get("tokens_apitoken_history", token.pk),
        desk.get("audit_event_change", last_event("api_token.rotated").pk),
    ):
        assert page.status_code == 200
        assert value not in text(page)
    assert value not in caplog.text
    assert value not in str(dict(desk.client.session))
    assert value not in str([vars(one) for one in (*LogEntry.objects.all(), *Event.objects.all())])


def test_sending_the_page_again_makes_no_second_successor_and_shows_no_value(
    desk: Desk, world: World
) -> None:
    asked = choose(desk, "rotate_chosen", make_api_token(world.acme))
    confirm(desk, ROTATE, asked)
    again = text(confirm(desk, ROTATE, asked))
    assert "Not rotated. The token has been rotated already" in again
    assert list(secret.find(again)) == []
    assert APIToken.objects.count() == 2


def test_after_a_leak_the_old_value_ends_at_once(desk: Desk, world: World, query: Query) -> None:
    token = make_api_token(world.acme, "read")
    confirm(desk, ROTATE, choose(desk, "rotate_chosen", token), reason="LEAK", days="90")
    assert query("{ viewer { id } }", token=token.token).status == 401
    ends = APIToken.objects.get(rotated_from=token).expires_at
    assert ends is not None
    assert timedelta(days=89) < ends - timezone.now() <= timedelta(days=90)


@pytest.mark.parametrize(
    "typed",
    [
        {"reason": "LEAK", "overlap_hours": "1"},
        {"overlap_hours": "721"},
        {"overlap_hours": "-1"},
        {"days": "0"},
        {"reason": "because"},
    ],
    ids=lambda typed: " ".join(typed.values()),
)
def test_what_cannot_be_is_told_at_its_field_and_rotates_nothing(
    desk: Desk, world: World, typed: dict[str, str]
) -> None:
    asked = confirm(desk, ROTATE, choose(desk, "rotate_chosen", make_api_token(world.acme)), **typed)
    assert "errorlist" in text(asked)
    assert APIToken.objects.count() == 1


def test_one_that_is_refused_says_why_and_the_others_are_rotated(desk: Desk, world: World) -> None:
    refused, other = make_api_token(world.acme), make_api_token(world.globex)
    policies.update_policy(SETUP, world.acme.pk, {"expiry_required_mode": Mode.ENFORCE})
    shown = text(confirm(desk, ROTATE, choose(desk, "rotate_chosen", refused, other)))
    assert "Not rotated. acme: Tokens must expire here" in shown
    assert len(list(secret.find(shown))) == 1


def test_a_personal_token_is_rotated_for_its_owner_from_its_own_page(desk: Desk, world: World) -> None:
    token = make_personal_token(world.member)
    link = f"{reverse('admin:tokens_personalaccesstoken_rotate')}?tokens={token.pk}"
    assert link in text(desk.get("tokens_personalaccesstoken_change", token.pk))
    confirm(desk, "tokens_personalaccesstoken_rotate", desk.client.get(link))
    assert PersonalAccessToken.objects.get(rotated_from=token).owner == world.member


def test_many_are_left_to_the_command(desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokens.admin_deeds.Rotating.most", 1)
    tokens = [make_api_token(world.acme) for _ in range(2)]
    answer = choose(desk, "rotate_chosen", *tokens)
    assert "manage.py rotatetokens" in text(desk.client.get(answer["Location"]))
    desk.post(ROTATE, tokens=[str(token.pk) for token in tokens], reason="ROUTINE")
    assert APIToken.objects.count() == 2


def test_lives_are_cut_short_and_none_gets_longer(desk: Desk, world: World) -> None:
    tomorrow = timezone.now() + timedelta(days=1)
    endless, sooner = make_api_token(world.acme), make_api_token(world.acme, expires_at=tomorrow)
    answer = confirm(desk, EXPIRE, choose(desk, "expire_chosen", endless, sooner), days="7")
    assert "Lives cut short: 1. 1 end sooner anyway." in text(desk.client.get(answer["Location"]))
    endless.refresh_from_db()
    sooner.refresh_from_db()
    assert endless.expires_at is not None
    assert timedelta(days=6) < endless.expires_at - timezone.now() <= timedelta(days=7)
    assert sooner.expires_at == tomorrow
    assert last_event("api_token.updated").actor_kind == "operator"


@pytest.mark.parametrize("days", ["", "0", "-1", "x", "99999999999"])
def test_without_a_usable_number_of_days_nothing_expires(desk: Desk, world: World, days: str) -> None:
    asked = confirm(desk, EXPIRE, choose(desk, "expire_chosen", make_api_token(world.acme)), days=days)
    assert "errorlist" in text(asked)
    assert APIToken.objects.get().expires_at is None


@pytest.mark.parametrize("page", [ROTATE, EXPIRE])
def test_who_may_only_look_can_neither_rotate_nor_expire(world: World, clerk: User, page: str) -> None:
    token = make_api_token(world.acme)
    shown = text(Desk(clerk).get(LIST))
    assert "rotate_chosen" not in shown
    assert "expire_chosen" not in shown
    assert "Rotate…" not in text(Desk(clerk).get("tokens_apitoken_change", token.pk))
    answer = Desk(clerk).post(page, tokens=[str(token.pk)], reason="ROUTINE", days="7")
    assert answer.status_code == 403
    assert APIToken.objects.filter(expires_at__isnull=True, overlap_ends_at__isnull=True).count() == 1


def test_who_is_no_operator_can_neither_rotate_nor_expire(world: World) -> None:
    token = make_api_token(world.acme)
    for page in (ROTATE, EXPIRE):
        answer = Desk(world.owner).post(page, tokens=[str(token.pk)], reason="ROUTINE", days="7")
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")
    assert APIToken.objects.get().expires_at is None


# --- the page of a token


def standing(desk: Desk, token: Token) -> str:
    return text(desk.get(f"tokens_{token._meta.model_name}_change", token.pk)).partition(">Standing<")[2]


def test_a_tokens_page_says_why_it_is_not_accepted(desk: Desk, world: World) -> None:
    revoked, pending = make_api_token(world.acme), make_api_token(world.acme)
    services.revoke(SETUP, revoked, reason="x")
    services.update_token(SETUP, pending, {"not_before": timezone.now() + timedelta(days=1)})
    assert "No. The token has been revoked." in standing(desk, revoked)
    assert "No. The token is not valid yet." in standing(desk, pending)
    machine, script = make_api_token(world.globex), make_personal_token(world.both)
    policies.update_policy(SETUP, world.globex.pk, {"expiry_required_mode": Mode.ENFORCE})
    assert "No. Tokens must expire here." in standing(desk, machine)
    shown = standing(desk, script)
    assert "globex: No. globex: Tokens must expire here." in shown
    assert "acme: Yes. Nothing ends it by itself." in shown


def test_a_tokens_page_says_what_ends_it_next_and_when(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme, expires_at=timezone.now() + timedelta(days=90))
    assert ", by its expiry." in standing(desk, token)
    limit = {"maximum_lifetime_mode": Mode.ENFORCE, "maximum_lifetime_days": 30}
    policies.update_policy(SETUP, world.acme.pk, limit)
    assert ", by the policy: maximum lifetime." in standing(desk, token)
    rotation.rotate(SETUP, token)
    assert ", by the end of the overlap." in standing(desk, token)


def test_a_tokens_page_links_to_where_it_came_from_and_where_it_went(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme)
    successor = rotation.rotate(SETUP, token)
    for one, other in ((token, successor), (successor, token)):
        assert reverse("admin:tokens_apitoken_change", args=[other.pk]) in standing(desk, one)


def test_a_tokens_page_tells_an_orphan(desk: Desk, world: World) -> None:
    token = services.create_api_token(person(world.admin), organization_id=world.acme.pk, name="left behind")
    assert "its creator is no active member" not in standing(desk, token)
    OrgMembership.objects.get(user=world.admin).delete()
    assert "its creator is no active member" in standing(desk, token)


def test_from_where_and_from_when_it_is_accepted_are_changed_like_the_rest(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme)
    page = "tokens_apitoken_change"
    typed = {"not_before_0": "2099-01-01", "not_before_1": "00:00:00"}
    assert desk.submit(page, token.pk, allowed_addresses="192.0.2.0/24\n::1", **typed).status_code == 302
    token.refresh_from_db()
    assert token.allowed_addresses == ["192.0.2.0/24", "::1"]
    assert token.not_before is not None
    assert "is no network" in text(desk.submit(page, token.pk, allowed_addresses="192.0.2.1/24"))
