"""`revoketokens`: end many tokens at once, whoever holds them. Neighbour: services.revoke_many."""

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import prefetch_related_objects
from django.utils import timezone

from tokens import selection, services, tables
from tokens.console import BadUsage, ConsoleCommand, NothingMatched
from tokens.models import APIToken, TokenQuerySet
from tokens.selection import Selection

PREVIEW_ROWS = 20


class Command(ConsoleCommand):
    help = (
        "Revoke every token that meets all the conditions given, for good, from the next request on.\n"
        "Tokens that are revoked already are passed over, so it can be stopped and run again at any time.\n"
        "Each batch commits on its own, together with its audit events."
    )
    examples = (
        '  revoketokens --user mallory@example.org --reason "left the company"\n'
        '  revoketokens --organization acme --unused-for 90d --reason "unused" --dry-run\n'
        '  revoketokens --scope admin --never-expires --reason "policy 7" --yes --json\n'
        '  git log -p | manage.py revoketokens --leaked - --reason "committed by mistake" --yes\n'
        '  revoketokens --all --reason "incident 12" --yes'
    )
    statuses = (
        "0 all were revoked (with --dry-run: some would be), 1 nothing matched or you declined,\n"
        "  2 bad usage, 3 the database failed: run it again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        selection.add_arguments(parser)
        parser.add_argument(
            "--all", action="store_true", help="every token there is, if no condition is given"
        )
        parser.add_argument(
            "--reason", required=True, help="why; kept with each token and in the audit trail"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be revoked, write nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask before revoking more than one")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
        parser.add_argument(
            "--batch-size", type=int, default=200, metavar="N", help="tokens per transaction (default 200)"
        )

    def handle(self, **options: Any) -> None:
        _require_usable(options)
        now = timezone.now()
        chosen = selection.chosen(options, now)
        if chosen.is_empty and not options["all"]:
            raise BadUsage("Say which tokens: give at least one condition, or --all.")
        self._note_leak(chosen)
        hit = [tokens.filter(revoked_at__isnull=True) for tokens in chosen.querysets()]
        matched = sum(tokens.count() for tokens in hit)
        self.revoked = 0
        if options["dry_run"]:
            tokens = _looked_at(hit)
        else:
            self._ask(hit, matched, now, options)
            tokens = self._revoke(hit, matched, options)
        self._print(tokens, matched, now, chosen, options)
        if not matched:
            raise NothingMatched("No token that is not revoked yet meets all the conditions.")
        if options["dry_run"]:
            self.note(f"Dry run: {_tokens(matched)} would be revoked. Nothing was changed.")
        else:
            self.note(f"Revoked {_tokens(self.revoked)}.")

    def _revoke(
        self, hit: Iterable[TokenQuerySet[Any]], matched: int, options: dict[str, Any]
    ) -> Iterator[Any]:
        """Each token once its batch is committed."""
        for tokens in hit:
            for batch in services.revoke_many(
                self.principal, tokens, reason=options["reason"], batch_size=options["batch_size"]
            ):
                self.revoked += len(batch)
                if matched > len(batch):
                    self.note(f"revoked {self.revoked} of {matched}")
                prefetch_related_objects(batch, "owner")
                yield from batch

    def _print(
        self,
        tokens: Iterable[Any],
        matched: int,
        now: datetime,
        chosen: Selection,
        options: dict[str, Any],
    ) -> None:
        if options["json"]:
            leak = chosen.leak and {"found": chosen.leak.found, "ours": len(chosen.leak.ours)}
            before = {"dry_run": options["dry_run"], "reason": options["reason"], "leaked": leak}
            listed = (selection.described(token, now) for token in tokens)
            pieces = tables.json_list(
                before, "tokens", listed, lambda: {"matched": matched, "revoked": self.revoked}
            )
            self.answer(pieces, ending="")
        elif matched:
            self.answer(tables.text(selection.HEADINGS, (selection.row(token, now) for token in tokens)))

    def _note_leak(self, chosen: Selection) -> None:
        if chosen.leak is not None:
            found, ours = chosen.leak.found, len(chosen.leak.ours)
            self.note(f"The text holds {_tokens(found)}, {ours} of them issued here.")

    def _ask(
        self, hit: list[TokenQuerySet[Any]], matched: int, now: datetime, options: dict[str, Any]
    ) -> None:
        """Before more than one, unless --yes. Raises BadUsage when nobody is there to answer."""
        if matched <= 1 or options["yes"]:
            return
        if options["leaked"] == "-" or not sys.stdin.isatty():
            raise BadUsage(
                f"This would revoke {_tokens(matched)}, and nobody is at the terminal to confirm it. "
                "Look with --dry-run, then add --yes."
            )
        first = islice(_looked_at(hit), PREVIEW_ROWS)
        for line in tables.text(selection.HEADINGS, (selection.row(token, now) for token in first)):
            self.stderr.write(line, str)
        if matched > PREVIEW_ROWS:
            self.stderr.write(f"... and {matched - PREVIEW_ROWS} more; --dry-run shows all.", str)
        self.stderr.write(f"Revoke {_tokens(matched)} for good? [y/N] ", str, ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise NothingMatched("Declined. Nothing was revoked.")


def _require_usable(options: dict[str, Any]) -> None:
    """What the service would refuse, before anything is done. Raises BadUsage, ValidationError."""
    if not options["reason"].strip():
        raise BadUsage("--reason is empty. Say why, for those who will ask.")
    APIToken._meta.get_field("revoked_reason").run_validators(options["reason"])
    if options["batch_size"] < 1:
        raise BadUsage("--batch-size must be 1 or more.")


def _looked_at(hit: Iterable[TokenQuerySet[Any]]) -> Iterator[Any]:
    return chain.from_iterable(chain.from_iterable(map(selection.pages, hit)))


def _tokens(count: int) -> str:
    return "1 token" if count == 1 else f"{count} tokens"
