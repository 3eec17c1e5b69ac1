"""`prunetokenusage`: forget usage that is too old to matter. Neighbour: usage.prune."""

from datetime import UTC, date
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from tokens import tables, usage
from tokens.console import ConsoleCommand, ago
from tokens.models import TokenUsage


class Command(ConsoleCommand):
    help = (
        "Delete usage rows of days longer ago than --older-than, or than USAGE_RETENTION_DAYS.\n"
        "What tokens know of themselves stays: their last use and their count. Safe to stop and run again."
    )
    examples = "  prunetokenusage --dry-run\n  prunetokenusage --older-than 90d --json"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            default=f"{settings.USAGE_RETENTION_DAYS}d",
            metavar="90d",
            help="a number and h, d or w (default: %(default)s, from USAGE_RETENTION_DAYS)",
        )
        parser.add_argument("--dry-run", action="store_true", help="say how many there are, delete nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, **options: Any) -> None:
        before = ago(options["older_than"], "--older-than", timezone.now()).astimezone(UTC).date()
        matched = TokenUsage.objects.filter(day__lt=before).count()
        deleted = 0 if options["dry_run"] else self._prune(before, matched)
        if options["json"]:
            counted = {"before": before, "matched": matched, "deleted": deleted}
            self.answer([tables.json_object({"dry_run": options["dry_run"], **counted})])
        elif options["dry_run"]:
            self.answer([f"Dry run: {matched} rows from before {before} would be deleted."])
        else:
            self.answer([f"Deleted {deleted} rows from before {before}."])

    def _prune(self, before: date, matched: int) -> int:
        deleted = 0
        for count in usage.prune(before):
            deleted += count
            self.note(f"deleted {deleted} of {matched}")
        return deleted
