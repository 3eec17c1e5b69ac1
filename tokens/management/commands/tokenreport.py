"""`tokenreport`: the inventory of all tokens. Neighbour: reports.py, whose numbers it prints."""

from collections.abc import Iterator
from dataclasses import asdict, astuple, fields
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from tokens import tables
from tokens.console import ConsoleCommand
from tokens.models import APIToken, PersonalAccessToken
from tokens.reports import Inventory, OwnerInventory, TokenReport

COUNTS = tuple(field.name for field in fields(Inventory))


class Command(ConsoleCommand):
    help = (
        "Count the tokens of each organization and person: by state, and among the active ones those\n"
        "never used, unused for 30 and for 90 days, without an expiry, expiring within 30 days, and those\n"
        "whose creator has left (orphaned).\n"
        "Owners who never had a token are left out."
    )
    examples = "  tokenreport\n  tokenreport --format csv > tokens.csv"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=("table", "json", "csv"), default="table")

    def handle(self, **options: Any) -> None:
        report = TokenReport.of(APIToken.objects.all(), PersonalAccessToken.objects.all(), timezone.now())
        if options["format"] == "json":
            self.answer([tables.json_object(asdict(report))])
        elif options["format"] == "csv":
            self.answer(tables.comma_separated(("kind", "owner_id", "owner", *COUNTS), rows(report)))
        else:
            self.answer(tables.text(HEADINGS, (_for_people(row) for row in rows(report, with_total=True))))


HEADINGS = ("KIND", "OWNER", *(name.replace("_", " ").upper() for name in COUNTS))


def rows(report: TokenReport, *, with_total: bool = False) -> Iterator[tuple[Any, ...]]:
    """(kind, owner id, owner, *counts) for each owner; the total only for people, who do not add up."""
    for kind, owners in (("organization", report.organizations), ("user", report.users)):
        yield from (_row(kind, owner) for owner in owners)
    if with_total:
        yield ("total", "", "", *astuple(report.total))


def _row(kind: str, owner: OwnerInventory) -> tuple[Any, ...]:
    return (kind, owner.owner_id, owner.owner, *astuple(owner.tokens))


def _for_people(row: tuple[Any, ...]) -> tuple[Any, ...]:
    kind, _, owner, *counts = row
    return (kind, tables.short(owner), *counts)
