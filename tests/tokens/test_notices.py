"""People are told what they should know of their tokens: by mail, in time, once, and nobody else is."""

import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.utils import timezone

from accounts import services as accounts
from accounts.models import User
from organizations import services as organizations
from organizations.models import Organization, OrgMembership, Role
from tests.conftest import World
from tests.factories import SETUP, join, make_api_token, make_personal_token
from tests.organizations.people import holder_of
from tokens import networks, notices, policies, rotation, services, usage
from tokens.authentication import person
from tokens.models import APIToken, Notice, NoticeKind, Token, TokenUsage
from tokens.notices import Posted
from tokens.usage import Use

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
Later = Callable[[timedelta], datetime]


@pytest.fixture
def later() -> Iterator[Later]:
    """later(ago): the clock stands still, and then moves on by so much each time it is called.

    It starts from the true time: the ids of rows, which tell their age, are not made by this clock.
    """
    with time_machine.travel(timezone.now(), tick=False) as clock:

        def move(by: timedelta) -> datetime:
            clock.shift(by)
            return timezone.now()

        yield move


def send_notices() -> list[Posted]:
    for _ in notices.file(timezone.now()):
        pass
    return list(notices.send())


def told(*kinds: NoticeKind) -> list[tuple[str, str]]:
    """(recipient, subject) of the mails of one run, sorted; of these kinds, if any are named."""
    mail.outbox.clear()
    posted = send_notices()
    assert [one for one in posted if one.error] == []
    letters = zip(posted, mail.outbox, strict=True)
    return sorted((one.recipient, str(it.subject)) for one, it in letters if not kinds or one.kind in kinds)


def people(*kinds: NoticeKind) -> list[str]:
    return [recipient.partition("@")[0] for recipient, _ in told(*kinds)]


def text_of(letter: Any) -> str:
    return str(letter.body)


def html_of(letter: Any) -> str:
    return str(letter.alternatives[0][0])


def in_days(days: float) -> datetime:
    return timezone.now() + timedelta(days=days)


def use(token: Token, address: str, operation: str = "tokens") -> None:
    usage.accepted(token, [Use(operation, "read:tokens", "ok")], address, timezone.now())
    usage.flush()


# --- before the end --------------------------------------------------------------------------------------


def test_the_owner_is_told_30_14_7_and_1_days_before_once_each(world: World, later: Later) -> None:
    make_personal_token(world.member, expires_at=in_days(40))
    when = []
    for day in range(42):
        when += [40 - day] * len(told(NoticeKind.EXPIRY))
        assert told(NoticeKind.EXPIRY) == []  # a second run on the same day
        later(DAY)
    assert when == [30, 14, 7, 1]


@pytest.mark.parametrize(
    ("remaining", "is_told"),
    [
        (30 * DAY, True),
        (30 * DAY + MINUTE, False),
        (5 * DAY, True),
        (MINUTE, True),
    ],
    ids=str,
)
def test_who_was_told_nothing_yet_is_told_once_and_not_of_every_threshold_passed(
    world: World, later: Later, remaining: timedelta, is_told: bool
) -> None:
    make_personal_token(world.member, expires_at=timezone.now() + remaining)
    assert people(NoticeKind.EXPIRY) == ["member"] * is_told
    assert people(NoticeKind.EXPIRY) == []


def test_a_token_of_a_machine_is_told_to_owners_admins_and_its_creator(world: World) -> None:
    token = make_api_token(world.acme, expires_at=in_days(5))
    assert people(NoticeKind.EXPIRY) == ["admin", "owner"]
    APIToken.objects.filter(pk=token.pk).update(created_by=str(world.member.pk), expires_at=in_days(6))
    assert people(NoticeKind.EXPIRY) == ["admin", "member", "owner"]


def test_a_creator_who_left_is_told_nothing(world: World) -> None:
    token = make_api_token(world.acme, expires_at=in_days(5))
    APIToken.objects.filter(pk=token.pk).update(created_by=str(world.member.pk))
    organizations.remove_member(SETUP, OrgMembership.objects.get(user=world.member))
    assert people(NoticeKind.EXPIRY) == ["admin", "owner"]


def test_an_owner_who_created_it_gets_one_mail(world: World) -> None:
    services.create_api_token(
        person(world.owner), organization_id=world.acme.pk, name="x", expires_at=in_days(5)
    )
    assert people(NoticeKind.EXPIRY) == ["admin", "owner"]


def deactivate(world: World) -> None:
    accounts.deactivate(SETUP, world.outsider)


def close(world: World) -> None:
    organizations.delete_organization(SETUP, world.globex)


@pytest.mark.parametrize("act", [deactivate, close], ids=lambda act: act.__name__)
def test_who_is_deactivated_and_whose_organization_is_gone_is_told_nothing(
    world: World, act: Callable[[World], None]
) -> None:
    make_api_token(world.globex, expires_at=in_days(5))
    act(world)
    assert told() == []


def revoked(token: Token) -> None:
    services.revoke(SETUP, token, reason="over")


def deleted(token: Token) -> None:
    services.delete_token(SETUP, token)


def over(token: Token) -> None:
    type(token).objects.filter(pk=token.pk).update(expires_at=timezone.now())


ENDS = pytest.mark.parametrize("end", [revoked, deleted, over], ids=lambda end: end.__name__)


@ENDS
def test_what_has_ended_is_not_told_to_end(world: World, later: Later, end: Callable[[Token], None]) -> None:
    end(make_personal_token(world.member, expires_at=in_days(5)))
    assert people(NoticeKind.EXPIRY) == []


@ENDS
def test_what_ended_while_its_mail_waited_is_not_told_to_end(
    world: World, later: Later, end: Callable[[Token], None]
) -> None:
    token = make_personal_token(world.member, expires_at=in_days(5))
    assert list(notices.file(timezone.now()))
    end(token)
    assert people(NoticeKind.EXPIRY) == []


def test_a_token_that_gets_more_time_is_told_of_its_new_end(world: World, later: Later) -> None:
    token = make_personal_token(world.member, expires_at=in_days(5))
    assert people(NoticeKind.EXPIRY) == ["member"]
    services.update_token(person(world.member), token, {"expires_at": in_days(60)})
    assert people(NoticeKind.EXPIRY) == []
    later(55 * DAY)
    assert people(NoticeKind.EXPIRY) == ["member"]


def limited(organization: Organization, mode: str, days: int) -> None:
    policies.update_policy(
        SETUP, organization.pk, {"maximum_lifetime_mode": mode, "maximum_lifetime_days": days}
    )


@pytest.mark.parametrize(
    ("own_end", "mode", "found"),
    [
        (None, "ENFORCE", [30, 14, 7, 1]),
        (100, "ENFORCE", [30, 14, 7, 1]),
        (20, "ENFORCE", []),  # by its own, forty days before
        (None, "REPORT_ONLY", []),
        (None, "OFF", []),
    ],
)
def test_the_end_that_a_policy_makes_is_told_like_any_other(
    world: World, later: Later, own_end: int | None, mode: str, found: list[int]
) -> None:
    make_api_token(world.acme, expires_at=in_days(own_end) if own_end else None)
    make_personal_token(world.owner)  # a policy does not end it, but keeps it out
    limited(world.acme, mode, 60)
    later(21 * DAY)
    when = []
    for day in range(21, 62):
        when += [60 - day] * len(told(NoticeKind.EXPIRY))
        later(DAY)
    assert when == [left for left in found for _ in ("owner", "admin")]


def test_a_token_that_is_not_valid_yet_is_told_to_end(world: World, later: Later) -> None:
    make_personal_token(world.member, not_before=in_days(1), expires_at=in_days(5))
    assert people(NoticeKind.EXPIRY) == ["member"]


def test_a_rotated_token_is_told_as_such_and_not_to_end_while_its_successor_is(
    world: World, later: Later
) -> None:
    """Also to who did it: who has a token may rotate it."""
    token = make_personal_token(world.member, name="laptop", expires_at=in_days(40))
    told()
    successor = rotation.rotate(person(world.member), token, overlap_seconds=20 * 24 * 3600)
    assert told() == [("member@example.org", "Token laptop was rotated")]
    assert "Old value until: " in text_of(mail.outbox[0])
    later(11 * DAY)
    assert told() == [("member@example.org", "Token laptop expires soon")]
    assert list(Notice.objects.filter(kind="expiry").values_list("token_id", flat=True)) == [successor.pk]


def test_several_tokens_of_one_person_are_one_mail(world: World, later: Later) -> None:
    for number in range(3):
        make_personal_token(world.member, name=f"script {number}", expires_at=in_days(5 + number))
    assert told(NoticeKind.EXPIRY) == [("member@example.org", "3 tokens expire soon")]
    for content in (text_of, html_of):
        (letter,) = (one for one in mail.outbox if "expire" in one.subject)
        assert all(f"script {number}" in content(letter) for number in range(3))


# --- when it was made, revoked, used from elsewhere --------------------------------------------------


def test_a_new_token_is_told_with_who_made_it(world: World) -> None:
    services.create_api_token(person(world.admin), organization_id=world.acme.pk, name="deploy")
    assert told() == [("admin@example.org", "New token deploy"), ("owner@example.org", "New token deploy")]
    assert "By: admin@example.org" in text_of(mail.outbox[0])
    assert told() == []


def test_the_owner_of_a_personal_token_is_told_that_it_was_made(world: World) -> None:
    make_personal_token(world.member, name="laptop")
    assert told() == [("member@example.org", "New token laptop")]


def test_a_revocation_is_told_to_everybody_but_who_did_it(world: World) -> None:
    token = make_api_token(world.acme, name="deploy")
    told()
    services.revoke(person(world.admin), token, reason="leaked")
    assert told() == [("owner@example.org", "Token deploy was revoked")]
    assert "By: admin@example.org" in text_of(mail.outbox[0])
    assert "Reason: leaked" in text_of(mail.outbox[0])


@pytest.mark.parametrize("with_token", [False, True], ids=["in a session", "by a token"])
def test_who_revokes_their_own_is_not_told(world: World, with_token: bool) -> None:
    principal = person(world.member)
    if with_token:
        principal = holder_of(make_personal_token(world.member, "admin:tokens"))
    token = make_personal_token(world.member)
    told()
    services.revoke(principal, token, reason=None)
    assert told() == []


def test_a_token_that_is_deleted_is_told_as_revoked_once(world: World) -> None:
    first, second = make_personal_token(world.member), make_personal_token(world.member)
    told()
    services.delete_token(SETUP, first)
    services.revoke(SETUP, second, reason="leaked")
    assert told() == [("member@example.org", "2 tokens were revoked")]
    services.delete_token(SETUP, second)
    assert told() == []


def test_a_new_network_is_told_and_the_first_one_is_not(world: World, later: Later) -> None:
    token = make_personal_token(world.member, name="laptop")
    told()
    use(token, "192.0.2.7")
    assert told() == []
    later(MINUTE)
    use(token, "192.0.2.200")  # the same /24
    assert told() == []
    later(MINUTE)
    use(token, "198.51.100.1")
    assert told() == [("member@example.org", "Token laptop was used from a new network")]
    assert "Network: 198.51.100.0/24" in text_of(mail.outbox[0])
    later(DAY)
    use(token, "198.51.100.9")
    use(token, "192.0.2.8", "other")
    assert told() == []


def test_networks_used_between_two_runs_are_all_found(world: World, later: Later) -> None:
    token = make_personal_token(world.member)
    told()
    for address in ("2001:db8:1::1", "2001:db8:1:2::3", "2001:db8:2::1", "192.0.2.1", "203.0.113.9"):
        use(token, address)
        later(MINUTE)
    assert told() == [("member@example.org", "Tokens were used from new networks")]
    (body,) = map(text_of, mail.outbox)
    found = ["2001:db8:2::/48", "192.0.2.0/24", "203.0.113.0/24"]
    assert [line.partition(": ")[2] for line in body.splitlines() if "Network: " in line] == found


def test_a_new_network_is_found_whatever_the_order_of_the_rows_of_a_flush(world: World, later: Later) -> None:
    """They are written in the order of their operations' names."""
    token = make_personal_token(world.member)
    use(token, "192.0.2.7")
    later(MINUTE)
    for operation in ("zebras", "apes"):
        usage.accepted(token, [Use(operation, "", "ok")], "198.51.100.1", later(timedelta(seconds=0.1)))
    usage.flush()
    assert people(NoticeKind.NETWORK) == ["member"]


def test_a_network_that_was_refused_is_not_known_and_not_told(world: World, later: Later) -> None:
    token = make_personal_token(world.member)
    use(token, "192.0.2.7")
    later(MINUTE)
    usage.refused(token, "TOKEN_EXPIRED", "198.51.100.1", timezone.now())
    usage.flush()
    assert people(NoticeKind.NETWORK) == []
    later(MINUTE)
    use(token, "198.51.100.1")
    assert people(NoticeKind.NETWORK) == ["member"]


def test_usage_older_than_the_news_is_known_and_not_told(world: World, later: Later) -> None:
    token = make_personal_token(world.member)
    for address, age in (("192.0.2.7", 5 * DAY), ("198.51.100.1", 4 * DAY)):
        use(token, address)
        TokenUsage.objects.filter(address=address).update(first_seen_at=timezone.now() - age)
    later(MINUTE)
    use(token, "198.51.100.1", "other")
    assert people(NoticeKind.NETWORK) == []


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", None),
        ("unknown", None),
    ],
)
def test_the_network_of_an_address(address: str, network: str | None) -> None:
    assert networks.site_of(address) == network


def test_a_first_run_is_silent_about_what_happened_long_ago(world: World, later: Later) -> None:
    token = make_personal_token(world.member)
    services.revoke(SETUP, token, reason="old")
    later(3 * DAY + MINUTE)
    assert told() == []


def test_news_are_found_after_an_outage_of_the_command(world: World, later: Later) -> None:
    told()
    make_personal_token(world.member, name="laptop")
    later(2 * DAY)
    assert told() == [("member@example.org", "New token laptop")]


def test_rows_that_are_committed_late_are_found(world: World, later: Later) -> None:
    """Their ids are older than the last run."""
    make_personal_token(world.member, name="laptop")
    later(5 * MINUTE)
    rolled = Notice.objects.all()
    assert people() == ["member"]
    rolled.delete()  # as if its event had not been there to see
    assert people() == ["member"]
    later(11 * MINUTE)
    assert people() == []
    rolled.delete()
    assert people() == []  # and what is not read again is not looked at again


def test_what_was_told_long_ago_is_forgotten(world: World, later: Later) -> None:
    make_personal_token(world.member, expires_at=in_days(5))
    told()
    assert Notice.objects.count() == 2
    later(91 * DAY)
    told()
    assert Notice.objects.count() == 0


# --- machines and mail servers that fail -------------------------------------------------------------------


class AwayBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Any) -> int:
        raise ConnectionRefusedError(111, "Connection refused")


class PickyBackend(EmailBackend):
    """Refuses one address."""

    def send_messages(self, messages: Any) -> int:
        if messages[0].to == ["admin@example.org"]:
            raise ConnectionRefusedError(111, "Connection refused")
        return super().send_messages(messages)


def test_no_mail_is_lost_while_the_mail_server_is_away(world: World, later: Later, settings: Any) -> None:
    make_personal_token(world.member, name="laptop")
    settings.EMAIL_BACKEND = f"{__name__}.AwayBackend"
    (posted,) = send_notices()
    assert (posted.recipient, posted.error) == ("member@example.org", "ConnectionRefusedError")
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert told() == []  # somebody may still be at it
    later(4 * DAY)
    assert told() == [("member@example.org", "New token laptop")]
    assert told() == []


def test_a_mail_that_fails_stops_no_other(world: World, later: Later, settings: Any) -> None:
    make_api_token(world.acme)
    settings.EMAIL_BACKEND = f"{__name__}.PickyBackend"
    mail.outbox.clear()
    assert {one.recipient: one.error for one in send_notices()} == {
        "admin@example.org": "ConnectionRefusedError",
        "owner@example.org": None,
    }
    assert [letter.to for letter in mail.outbox] == [["owner@example.org"]]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    later(11 * MINUTE)
    assert people() == ["admin"]  # and not the owner again


def test_a_mail_server_that_is_away_is_not_asked_for_ever(world: World, later: Later, settings: Any) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.AwayBackend"
    for number in range(notices.PATIENCE + 3):
        join(User.objects.create_user(f"admin{number}@example.org", "x"), world.acme, Role.ADMIN)
    make_api_token(world.acme)
    assert len(send_notices()) == notices.PATIENCE
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert len(told()) == 5
    later(11 * MINUTE)
    assert len(told()) == notices.PATIENCE


def test_the_claim_of_a_machine_that_died_is_taken_over_when_it_is_stale(world: World, later: Later) -> None:
    make_personal_token(world.member)
    assert list(notices.file(timezone.now()))
    assert len(notices.claim(world.member.pk, NoticeKind.CREATED)) == 1
    later(10 * MINUTE)
    assert notices.claim(world.member.pk, NoticeKind.CREATED) == []
    later(MINUTE)
    assert people() == ["member"]


def test_what_another_claims_at_the_same_moment_is_theirs(world: World) -> None:
    tokens = [make_personal_token(world.member), make_personal_token(world.member)]
    assert list(notices.file(timezone.now()))
    theirs = Notice.objects.filter(token_id=tokens[0].pk)

    were_first: list[int] = []

    def before_us(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("UPDATE") and not were_first:
            were_first.append(1)
            theirs.update(claim=uuid4(), claimed_at=timezone.now())
        return execute(sql, *rest)

    with connection.execute_wrapper(before_us):
        mine = notices.claim(world.member.pk, NoticeKind.CREATED)
    assert [notice.token_id for notice in mine] == [tokens[1].pk]


def test_who_comes_back_after_their_claim_was_taken_over_ticks_nothing_off(
    world: World, later: Later
) -> None:
    make_personal_token(world.member)
    assert list(notices.file(timezone.now()))
    slow = notices.claim(world.member.pk, NoticeKind.CREATED)
    later(11 * MINUTE)
    assert len(notices.claim(world.member.pk, NoticeKind.CREATED)) == 1
    notices.tick_off(slow, Posted("member@example.org", "created", 1, None))
    assert Notice.objects.filter(sent_at__isnull=False).count() == 0


def test_many_notices_to_one_person_are_several_mails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "MOST_IN_A_MAIL", 2)
    monkeypatch.setattr(notices, "PAGE_ROWS", 2)
    for number in range(5):
        make_personal_token(world.member, name=f"script {number}", expires_at=in_days(5))
    assert len(told(NoticeKind.EXPIRY)) == 3
    shown = "".join(map(text_of, mail.outbox))
    assert [shown.count(f"script {number} (") for number in range(5)] == [2] * 5  # created, and about to end


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer")
@pytest.mark.django_db(transaction=True)
def test_machines_that_run_at_the_same_moment_send_each_mail_once(world: World) -> None:
    admins = [User.objects.create_user(f"admin{number}@example.org", "x") for number in range(20)]
    for admin in admins:
        join(admin, world.acme, Role.ADMIN)
    for _ in range(3):
        make_api_token(world.acme, expires_at=in_days(5))
    machines, ready = 3, threading.Barrier(3)  # and this thread: a connection each

    def machine() -> list[Posted]:
        try:
            connection.ensure_connection()
            ready.wait(20)
            return send_notices()
        finally:
            connection.close()

    mail.outbox.clear()
    with ThreadPoolExecutor(machines) as pool:
        runs = [future.result(60) for future in [pool.submit(machine) for _ in range(machines)]]

    posted = [one for run in runs for one in run]
    assert [one.error for one in posted if one.error] == []
    told_of: dict[tuple[str, str], int] = {}
    for one in posted:
        told_of[one.recipient, one.kind] = told_of.get((one.recipient, one.kind), 0) + one.count
    assert set(told_of.values()) == {3}
    assert len(told_of) == (20 + 2) * 2  # owner, admins; created and about to expire
    assert len(mail.outbox) == len(posted)
    assert Notice.objects.filter(sent_at__isnull=True).count() == 0


# --- what is in the mail -----------------------------------------------------------------------------------


def test_a_mail_says_which_token_and_holds_no_value(world: World, settings: Any, minted: Any) -> None:
    settings.PUBLIC_URL = "https://tokens.example"
    token = make_api_token(world.acme, name="deploy <b>&", expires_at=in_days(5))
    use(token, "192.0.2.7")
    use(token, "198.51.100.1")
    services.revoke(SETUP, make_api_token(world.acme, name="deploy <b>&"), reason="<i>over</i>")
    rotation.rotate(SETUP, make_api_token(world.acme, name="deploy <b>&"))
    mail.outbox.clear()
    send_notices()
    assert len(mail.outbox) == 2 * len(NoticeKind)  # to the owner and the admin
    for letter in mail.outbox:
        text, html = text_of(letter), html_of(letter)
        assert "deploy <b>& (" in text
        assert "deploy &lt;b&gt;&amp;" in html
        assert "<b>" not in html
        assert "<i>" not in html
        assert "tola_" in text
        assert "API token of acme" in text
        assert "API token of acme" in html
        assert "https://tokens.example/" in text
        assert 'href="https://tokens.example/"' in html
        assert letter.extra_headers["Auto-Submitted"] == "auto-generated"
        assert minted.shown_in([text, html, str(letter.message())]) == []


def test_no_name_writes_a_header_or_another_line(world: World) -> None:
    """Such a name is refused; one that got into the table by another way is put on one line."""
    token = make_personal_token(world.member)
    type(token).objects.filter(pk=token.pk).update(name="x\r\nBcc: everybody@example.org\r\n\r\nhello" * 5)
    mail.outbox.clear()
    send_notices()
    (letter,) = mail.outbox
    assert "\n" not in letter.subject
    assert "\r" not in letter.subject
    assert letter.message()["Bcc"] is None
    assert letter.recipients() == ["member@example.org"]
    assert "\nBcc" not in text_of(letter)


# --- many --------------------------------------------------------------------------------------------

MANY = 20_000
COPIES = {
    "sqlite": ("randomblob(32)", "lower(hex(randomblob(16)))"),
    "postgresql": ("sha256(n::text::bytea)", "gen_random_uuid()"),
}


def copies_of(token: Token, count: int) -> None:
    """So many rows like the one of this token, each with an id and a digest of its own."""
    table = type(token)._meta.db_table
    columns = [field.column for field in type(token)._meta.concrete_fields]
    digest, new_id = COPIES[connection.vendor]
    values = ", ".join({"id": new_id, "digest": digest}.get(name, name) for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {count}) "  # noqa: S608
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table}, many WHERE id = %s",
            [APIToken._meta.pk.get_db_prep_value(token.pk, connection)],
        )


def test_however_many_tokens_are_walked_in_constant_memory(world: World) -> None:
    """All of these at once take 75 MB, a page of them 4 MB."""
    copies_of(make_api_token(world.acme, expires_at=in_days(5)), MANY)
    looked_at = found = 0
    tracemalloc.start()
    for rows, page in notices.owed(timezone.now()):
        looked_at, found = looked_at + rows, found + len(page)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert looked_at == MANY + 2  # and the first of them, and its event
    assert found == 2 * (MANY + 1) + 2
    assert peak < 12_000_000  # bytes
