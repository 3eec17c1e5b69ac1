"""`issuetoken`: a token for an organization or a person, from the shell. Neighbour: services.py."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from accounts.models import User
from organizations.models import Organization, OrgMembership
from tokens import selection, services, tables
from tokens.console import (
    BadUsage,
    ConsoleCommand,
    expiry,
    find_organization,
    find_user,
)
from tokens.models import APIToken, PersonalAccessToken


class Command(ConsoleCommand):
    help = (
        "Issue an API token to an organization, or a personal access token to a person.\n"
        "The value is printed on standard output, this once, and nothing else is: TOKEN=$(issuetoken ...).\n"
        "What else there is to know goes to standard error; with --json both are one object."
    )
    examples = (
        "  issuetoken --organization acme --name deploy --scope write:evidence --expires-in 90d\n"
        "  issuetoken --user ada@example.org --name laptop --scope read --organizations acme --json"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        owner = parser.add_mutually_exclusive_group(required=True)
        owner.add_argument(
            "--organization", metavar="NAME|ID", help="issue an API token to this organization"
        )
        owner.add_argument("--user", metavar="EMAIL|ID", help="issue a personal access token to this person")
        parser.add_argument("--name", required=True, help="what it is for, to tell it from others")
        parser.add_argument("--description")
        parser.add_argument(
            "--scope",
            action="append",
            default=[],
            metavar="SCOPE",
            help="may be repeated; without any a personal token may what its owner may, an API token nothing",
        )
        expiry = parser.add_mutually_exclusive_group()
        expiry.add_argument("--expires-at", metavar="DATE", help="2030-01-31 or 2030-01-31T12:00:00+01:00")
        expiry.add_argument("--expires-in", metavar="90d", help="a number and h, d or w")
        parser.add_argument(
            "--organizations",
            nargs="+",
            metavar="NAME|ID",
            help="what a personal token reaches; otherwise all organizations its owner is in, at any time",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, **options: Any) -> None:
        now = timezone.now()
        fields = {
            "name": options["name"],
            "description": options["description"],
            "scopes": options["scope"],
            "expires_at": expiry(
                now, ("--expires-at", options["expires_at"]), ("--expires-in", options["expires_in"])
            ),
        }
        if options["user"] is not None:
            token: APIToken | PersonalAccessToken = self._personal(options, fields)
        else:
            token = self._api(options, fields)
        if options["json"]:
            described = selection.described(token, now) | {"token": token.token}
            self.answer([tables.json_object(described)])
            return
        for line in tables.text(selection.HEADINGS, [selection.row(token, now)]):
            self.note(line)
        self.note("This is its value. It is not kept and cannot be shown again:")
        self.answer([token.token])

    def _api(self, options: dict[str, Any], fields: dict[str, Any]) -> APIToken:
        if options["organizations"] is not None:
            raise BadUsage(
                "--organizations goes with --user: an API token reaches its own organization only."
            )
        organization = _live(find_organization(options["organization"]))
        if not fields["scopes"]:
            self.note("Without --scope this API token may do nothing but ask who it is.")
        return services.create_api_token(self.principal, organization_id=organization.pk, **fields)

    def _personal(self, options: dict[str, Any], fields: dict[str, Any]) -> PersonalAccessToken:
        owner = find_user(options["user"])
        if not owner.is_active:
            raise BadUsage(f"{owner} is deactivated; no token of theirs would work. Reactivate them first.")
        reached = None
        if options["organizations"] is not None:
            reached = [_of(owner, name).pk for name in options["organizations"]]
        return services.create_personal_access_token(
            self.principal, owner_id=owner.pk, organizations=reached, **fields
        )


def _live(organization: Organization) -> Organization:
    if organization.deleted_at is not None:
        raise BadUsage(f"{organization} is deleted; no token of it would work.")
    return organization


def _of(owner: User, name: str) -> Organization:
    """An organization the token can reach for its owner. Raises BadUsage."""
    organization = _live(find_organization(name, "--organizations"))
    if not OrgMembership.objects.filter(user=owner, organization=organization).exists():
        raise BadUsage(f"--organizations: {owner} is no member of {organization}. Add them first.")
    return organization
