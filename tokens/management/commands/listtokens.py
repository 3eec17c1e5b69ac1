"""`listtokens`: look at tokens, with the conditions of revoketokens. Neighbour: selection.py."""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from tokens import selection, tables
from tokens.console import ConsoleCommand


class Command(ConsoleCommand):
    help = (
        "List the tokens that meet all the conditions given; every token without any. Revoked ones are\n"
        "among them, and so are deleted ones, which stay for the audit. No value is ever shown: none is kept."
    )
    examples = (
        "  listtokens --organization acme\n"
        "  listtokens --scope admin --never-expires --json\n"
        "  listtokens --leaked dump.sql"
    )
    statuses = "0 done, even when nothing is listed; 2 bad usage, 3 the database failed."

    def add_arguments(self, parser: CommandParser) -> None:
        selection.add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, **options: Any) -> None:
        now = timezone.now()
        chosen = selection.chosen(options, now)
        count = 0

        def each() -> Iterator[Any]:
            nonlocal count
            for tokens in chosen.querysets():
                for page in selection.pages(tokens):
                    count += len(page)
                    yield from page

        if options["json"]:
            listed = (selection.described(token, now) for token in each())
            self.answer(tables.json_list({}, "tokens", listed, lambda: {"count": count}), ending="")
        else:
            self.answer(tables.text(selection.HEADINGS, (selection.row(token, now) for token in each())))
            self.note(f"{count} listed.")
