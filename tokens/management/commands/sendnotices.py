"""`sendnotices`: mail people what they should know about their tokens. Neighbour: notices.py."""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from tokens import notices, tables
from tokens.console import ConsoleCommand
from tokens.notices import Owed, Posted

HEADINGS = ("RECIPIENT", "KIND", "TOKEN", "HINT", "ABOUT")


class Command(ConsoleCommand):
    help = (
        "Mail owners and admins 30, 14, 7 and 1 days before a token expires, and when one was created,\n"
        "rotated, revoked by somebody else, or used from a new network; of each once. Run it every\n"
        "minute, on as many machines as you like. What could not be sent is tried again after ten minutes."
    )
    examples = "  sendnotices --dry-run\n  sendnotices --json --verbosity 0"
    statuses = "0 done, 1 a mail could not be sent, 2 bad usage, 3 the database failed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say whom of what, and mail nobody")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, **options: Any) -> None:
        if options["dry_run"]:
            self._show(notices.pending(timezone.now()), options)
            return
        self._file()
        posted = list(self._send())
        failed = [each for each in posted if each.error is not None]
        told = sum(each.count for each in posted) - sum(each.count for each in failed)
        mails = len(posted) - len(failed)
        if options["json"]:
            failures = [{"recipient": one.recipient, "kind": one.kind, "error": one.error} for one in failed]
            counted = {"mails": mails, "notices": told, "failed": failures}
            self.answer([tables.json_object({"dry_run": False, **counted})])
        else:
            self.answer([f"Sent {mails} mails with {told} notices."])
        if failed:
            named = ", ".join(f"{one.recipient} ({one.error})" for one in failed[:10])
            raise CommandError(f"{len(failed)} mails could not be sent, and will be tried again: {named}")

    def _file(self) -> None:
        now = timezone.now()
        total, done = notices.in_question(now), 0
        for looked_at in notices.file(now):
            done += looked_at
            self.progress("looked at", done, total)

    def _send(self) -> Iterator[Posted]:
        total, done = notices.waiting(timezone.now()), 0
        for posted in notices.send():
            done += posted.count
            self.progress("sent", done, total)
            yield posted

    def _show(self, pending: Iterator[Owed], options: dict[str, Any]) -> None:
        if options["json"]:
            listed = (_described(*one) for one in pending)
            self.answer(tables.json_list({"dry_run": True}, "notices", listed, dict), ending="")
        else:
            self.answer(tables.text(HEADINGS, (_row(*one) for one in pending)))


def _row(notice: Any, token: Any) -> tuple[Any, ...]:
    return (notice.recipient.email, notice.kind, tables.short(token.name), token.hint, notice.about)


def _described(notice: Any, token: Any) -> dict[str, Any]:
    return {
        "recipient": notice.recipient.email,
        "kind": notice.kind,
        "token": {"id": token.pk, "name": token.name, "hint": token.hint},
        "about": notice.about,
    }
