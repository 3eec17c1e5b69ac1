"""`revoketokens`: end many tokens at once, whoever holds them. Neighbour: services.revoke_many."""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import prefetch_related_objects

from tokens import services
from tokens.console import BadUsage
from tokens.models import APIToken, TokenQuerySet
from tokens.selection import Selection
from tokens.sweep import Sweep, add_batch_size, require_batches


class Command(Sweep):
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
    verb, done, question = "revoke", "revoked", "Revoke {} for good?"
    nothing = "No token that is not revoked yet meets all the conditions."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--reason", required=True, help="why; kept with each token and in the audit trail"
        )
        add_batch_size(parser)

    def prepare(self, options: dict[str, Any]) -> None:
        self.reason: str = options["reason"]
        self.batch_size: int = options["batch_size"]
        if not self.reason.strip():
            raise BadUsage("--reason is empty. Say why, for those who will ask.")
        APIToken._meta.get_field("revoked_reason").run_validators(self.reason)
        require_batches(options)

    def hit(self, tokens: TokenQuerySet[Any], chosen: Selection) -> TokenQuerySet[Any]:
        return tokens.filter(revoked_at__isnull=True)

    def act(self, tokens: TokenQuerySet[Any]) -> Iterator[list[Any]]:
        for batch in services.revoke_many(
            self.principal, tokens, reason=self.reason, batch_size=self.batch_size
        ):
            prefetch_related_objects(batch, "owner")
            yield batch

    def facts(self) -> dict[str, Any]:
        return {"reason": self.reason}
