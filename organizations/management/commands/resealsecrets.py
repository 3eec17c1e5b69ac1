"""`resealsecrets`: after a new key was put in front of FIELD_KEYS, so that the old one can go."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from organizations import services
from organizations.access import command
from organizations.sealing import Unreadable


class Command(BaseCommand):
    help = "Encrypt every stored secret under the first key of FIELD_KEYS. Safe to stop and to run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say how many there are")

    def handle(self, *args: Any, **options: Any) -> None:
        outdated = services.outdated_secrets()
        if options["dry_run"]:
            self.stdout.write(f"{len(outdated)} secrets would be encrypted anew.")
            return
        try:
            for setting in outdated:
                services.reseal(command("resealsecrets"), setting)
        except Unreadable:
            raise CommandError(
                f"No key of FIELD_KEYS opens the client secret of {setting.organization}. "
                "Put the former key back behind the first."
            ) from None
        self.stdout.write(f"{len(outdated)} secrets encrypted anew.")
