"""sendnotices: says whom it would mail, mails them, and fails loudly when a mail server does."""

import io
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.management import call_command
from django.utils import timezone

from tests.commands.conftest import Run, Shell
from tests.conftest import World
from tests.factories import make_api_token, make_personal_token
from tests.tokens.test_notices import in_days
from tokens import notices
from tokens.models import Notice, Watermark


class AwayBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Any) -> int:
        raise ConnectionRefusedError(111, "Connection refused")


@pytest.fixture
def token(world: World) -> Any:
    return make_api_token(world.acme, name="deploy", expires_at=in_days(5))


def test_it_mails_and_a_second_run_has_nothing_to_do(run: Run, token: Any) -> None:
    mail.outbox.clear()
    ran = run("sendnotices")
    assert (ran.status, ran.out) == (0, "Sent 4 mails with 4 notices.\n")
    assert len(mail.outbox) == 4
    assert run("sendnotices", "--json").json == {"dry_run": False, "mails": 0, "notices": 0, "failed": []}


def test_a_dry_run_says_whom_it_would_mail_of_what_and_changes_nothing(run: Run, token: Any) -> None:
    make_personal_token(token.owner.members.get(role="OWNER").user, name="laptop")
    mail.outbox.clear()
    ran = run("sendnotices", "--dry-run")
    assert ran.out.splitlines()[0].split() == ["RECIPIENT", "KIND", "TOKEN", "HINT", "ABOUT"]
    assert sorted(line.split()[:3] for line in ran.out.splitlines()[1:]) == [
        ["admin@example.org", "created", "deploy"],
        ["admin@example.org", "expiry", "deploy"],
        ["owner@example.org", "created", "deploy"],
        ["owner@example.org", "created", "laptop"],
        ["owner@example.org", "expiry", "deploy"],
    ]
    assert (Notice.objects.count(), Watermark.objects.count(), mail.outbox) == (0, 0, [])


def test_a_dry_run_shows_what_is_filed_and_was_not_sent(run: Run, token: Any) -> None:
    looked = run("sendnotices", "--dry-run", "--json").json
    assert list(notices.file(timezone.now()))
    again = run("sendnotices", "--dry-run", "--json").json

    def listed(answer: dict[str, Any]) -> list[Any]:
        return sorted(str(one) for one in answer["notices"])

    assert looked["dry_run"] is True
    assert listed(looked) == listed(again)
    assert looked["notices"][0]["token"] == {"id": str(token.pk), "name": "deploy", "hint": token.hint}
    assert run("sendnotices", "--json").json["notices"] == len(looked["notices"])
    assert run("sendnotices", "--dry-run", "--json").json == {"dry_run": True, "notices": []}


def test_a_mail_server_that_is_away_is_status_1_and_named(run: Run, token: Any, settings: Any) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.AwayBackend"
    ran = run("sendnotices", "--json")
    assert ran.status == 1
    assert (ran.json["mails"], ran.json["notices"], len(ran.json["failed"])) == (0, 0, 4)
    assert "4 mails could not be sent" in ran.err
    assert "owner@example.org (ConnectionRefusedError)" in ran.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_somebody_who_watches_sees_a_bar(token: Any) -> None:
    watched = Terminal()
    call_command("sendnotices", stdout=io.StringIO(), stderr=watched)
    assert "\rlooked at 2 of 2 [########################################] 100%\n" in watched.getvalue()
    assert "\rsent 2 of 4 [####################--------------------]  50%\r" in watched.getvalue()


def test_nobody_who_does_not_watch_or_wants_quiet_does(run: Run, token: Any) -> None:
    assert run("sendnotices").err == ""
    watched = Terminal()
    call_command("sendnotices", verbosity=0, stdout=io.StringIO(), stderr=watched)
    assert watched.getvalue() == ""


def test_it_runs_from_a_shell(shell: Shell, demo: dict[str, Any]) -> None:
    ran = shell("sendnotices", "--json")
    assert ran.status == 0, ran.err
    values = [
        one["token"] for one in (*demo["api_tokens"].values(), *demo["personal_access_tokens"].values())
    ]
    assert ran.json["mails"] > 0
    assert not [value for value in values if value in ran.said]
    again = shell("sendnotices", "--json")
    assert (again.status, again.json["mails"]) == (0, 0)
