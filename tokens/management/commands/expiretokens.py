"""`expiretokens`: bring the end of many tokens forward. Neighbour: services.expire_many."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

from django.core.management.base import CommandParser
from django.db.models import prefetch_related_objects

from tokens import services
from tokens.console import expiry
from tokens.models import TokenQuerySet
from tokens.selection import Selection
from tokens.sweep import Sweep, add_batch_size, require_batches


class Command(Sweep):
    help = (
        "Let every living token that meets all the conditions given expire at one moment to come. None gets\n"
        "longer than it has: what ends by then anyway is passed over, so it can be stopped and run again at\n"
        "any time. Each batch commits on its own, together with its audit events. To end tokens now, revoke."
    )
    examples = (
        "  expiretokens --orphaned --in 7d --dry-run\n"
        "  expiretokens --organization acme --never-expires --in 90d --yes\n"
        "  expiretokens --created-before 2025-01-01 --at 2030-01-31T12:00:00Z --json"
    )
    statuses = (
        "0 all end by then (with --dry-run: some would), 1 nothing matched or you declined,\n"
        "  2 bad usage, 3 the database failed: run it again."
    )
    verb, done, question = "shorten", "shortened", "Shorten the life of {}?"
    nothing = "No living token that ends later meets all the conditions."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        when = parser.add_mutually_exclusive_group(required=True)
        when.add_argument(
            "--at", metavar="DATE", help="2030-01-31 (midnight UTC) or 2030-01-31T12:00:00+01:00"
        )
        when.add_argument("--in", dest="within", metavar="7d", help="a number and h, d or w")
        add_batch_size(parser)

    def prepare(self, options: dict[str, Any]) -> None:
        require_batches(options)
        self.batch_size: int = options["batch_size"]
        self.at = cast(
            datetime, expiry(self.now, ("--at", options["at"]), ("--in", options["within"]))
        )  # one of them is required
        services.require_expiry(None, self.at, self.now)

    def hit(self, tokens: TokenQuerySet[Any], chosen: Selection) -> TokenQuerySet[Any]:
        return tokens.living(self.at)  # those that would live on

    def act(self, tokens: TokenQuerySet[Any]) -> Iterator[list[Any]]:
        for batch in services.expire_many(self.principal, tokens, self.at, batch_size=self.batch_size):
            prefetch_related_objects(batch, "owner")
            yield batch

    def facts(self) -> dict[str, Any]:
        return {"at": self.at}
