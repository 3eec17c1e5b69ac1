"""`expireinvitations`: now and then, so that lists show which invitations are over."""

from typing import Any

from django.core.management.base import BaseCommand

from organizations.access import command
from organizations.invitations import expire_invitations


class Command(BaseCommand):
    help = "Mark the invitations whose time is up. They stopped working by themselves; this shows it."

    def handle(self, *args: Any, **options: Any) -> None:
        marked = expire_invitations(command("expireinvitations"))
        self.stdout.write(f"{marked} invitations marked as expired.")
