"""`createdemo`: two organizations, six people and their tokens, to try everything out with.

What belongs to the demo is known by `created_by`, which no client can set; the tag "demo" on its tokens is
for people to see. Neighbours: the three services this calls.
"""

import secrets
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from organizations import services as organizations
from organizations.models import Organization, OrgMembership, Role
from tokens import services, tables
from tokens.console import BadUsage, ConsoleCommand
from tokens.models import APIToken, PersonalAccessToken, TokenQuerySet

MAKER = "createdemo"
TAG = "demo"
OPERATOR = "operator@demo.example"

FOUNDERS = MappingProxyType({"acme": "owner", "globex": "outsider"})
ROLES: Mapping[str, Mapping[str, Role]] = MappingProxyType(
    {
        "owner": {"acme": Role.OWNER},
        "admin": {"acme": Role.ADMIN},
        "member": {"acme": Role.MEMBER},
        "auditor": {"acme": Role.AUDITOR},
        "outsider": {"globex": Role.OWNER},
        "both": {"acme": Role.MEMBER, "globex": Role.MEMBER},
    }
)


class Command(ConsoleCommand):
    help = (
        "Make the organizations acme and globex and their people, and issue each a token.\n"
        "Organizations and people are made once. As nothing secret can be shown twice, every call gives\n"
        "each person a new password, issues new tokens, and revokes those of the call before.\n"
        "All of it happens, or nothing."
    )
    examples = (
        "  createdemo\n  createdemo --admin\n  createdemo --json | jq -r .personal_access_tokens.owner.token"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
        parser.add_argument(
            "--admin",
            action="store_true",
            help=f"also a superuser {OPERATOR}, who can open /admin/ and see everything",
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="even with DEBUG off and organizations here that are not the demo's",
        )

    def handle(self, **options: Any) -> None:
        if not options["force"]:
            _refuse_production()
        with transaction.atomic():
            demo = self._make()
            if options["admin"]:
                demo["operator"] = self._operator()
        if options["json"]:
            self.answer([tables.json_object(demo)])
        else:
            self.answer(_for_people(demo))

    def _make(self) -> dict[str, Any]:
        """Everything there is to show, in the shape of --json."""
        people = {name: self._person(f"{name}@{_home(name)}.example", name) for name in ROLES}
        users = {name: user for name, (user, _) in people.items()}
        places = {name: self._organization(name, users[founder]) for name, founder in FOUNDERS.items()}
        for name, roles in ROLES.items():
            for place, role in roles.items():
                self._join(users[name], places[place], role)
        self._retire(list(users.values()), list(places.values()))
        return {
            "organizations": {name: place.pk for name, place in places.items()},
            "users": {name: _account(user, password) for name, (user, password) in people.items()},
            "api_tokens": {name: self._api_token(place) for name, place in places.items()},
            "personal_access_tokens": {name: self._personal_token(user) for name, user in users.items()},
        }

    def _person(self, email: str, name: str, **standing: bool) -> tuple[User, str]:
        """Somebody who can log in with the password that comes with them. Raises BadUsage."""
        password = secrets.token_urlsafe(15)
        user = User.objects.get_queryset().filter(email=email).first()
        if user is None:
            fields = {"first_name": name.title(), "last_name": "Demo", **standing}
            user = accounts.create_user(self.principal, email=email, password=password, **fields)
            return user, password
        if user.created_by != MAKER:
            raise BadUsage(f"{email} exists and is not of the demo. Give that account another address first.")
        user = accounts.reactivate(self.principal, user)
        user = accounts.update_user(self.principal, user, standing)
        return accounts.set_password(self.principal, user, password), password

    def _organization(self, name: str, founder: User) -> Organization:
        """Raises BadUsage."""
        organization = Organization.objects.live().filter(name__iexact=name).first()
        if organization is None:
            return organizations.create_organization(self.principal, name=name, owner_id=founder.pk)
        if organization.created_by != MAKER:
            raise BadUsage(f"An organization {name} exists that is not of the demo. Rename it first.")
        return organization

    def _join(self, user: User, organization: Organization, role: Role) -> None:
        membership = OrgMembership.objects.filter(user=user, organization=organization).first()
        if membership is None:
            organizations.add_member(
                self.principal, organization_id=organization.pk, user_id=user.pk, role=role
            )
        else:
            organizations.change_role(self.principal, membership, role)

    def _retire(self, users: list[User], places: list[Organization]) -> None:
        former: tuple[TokenQuerySet[Any], ...] = (
            APIToken.objects.filter(owner__in=places, created_by=MAKER),
            PersonalAccessToken.objects.filter(owner__in=users, created_by=MAKER),
        )
        for tokens in former:
            for _ in services.revoke_many(self.principal, tokens, reason="demo re-created"):
                pass

    def _api_token(self, owner: Organization) -> dict[str, Any]:
        return _issued(
            services.create_api_token(
                self.principal, organization_id=owner.pk, name="demo", scopes=["admin"], tags=[TAG]
            )
        )

    def _personal_token(self, owner: User) -> dict[str, Any]:
        return _issued(
            services.create_personal_access_token(self.principal, owner_id=owner.pk, name="demo", tags=[TAG])
        )

    def _operator(self) -> dict[str, Any]:
        return _account(*self._person(OPERATOR, "operator", is_staff=True, is_superuser=True))


def _refuse_production() -> None:
    """Raises BadUsage where this looks like somebody's real data."""
    people = User.objects.get_queryset().filter(created_by=MAKER).values_list("pk", flat=True)
    makers = [MAKER, *map(str, people)]  # what the demo's people found, trying things out, is the demo's
    if not settings.DEBUG and Organization.objects.exclude(created_by__in=makers).exists():
        raise BadUsage(
            "DEBUG is off and the database holds organizations that are not the demo's. "
            "Use another database (DATABASE_URL), or --force if this one is meant."
        )


def _home(name: str) -> str:
    return next(iter(ROLES[name]))


def _account(user: User, password: str) -> dict[str, Any]:
    return {"id": user.pk, "email": user.email, "password": password}


def _issued(token: APIToken | PersonalAccessToken) -> dict[str, Any]:
    return {"id": token.pk, "token": token.token}


def _for_people(demo: Mapping[str, Any]) -> Iterator[str]:
    people = demo["users"] | ({"operator": demo["operator"]} if "operator" in demo else {})
    rows = [
        (account["email"], account["password"], _roles(name), account["id"])
        for name, account in people.items()
    ]
    yield from tables.text(("PERSON", "PASSWORD", "ROLE", "ID"), rows)
    yield ""
    issued = [
        *((name, "API token", token["token"]) for name, token in demo["api_tokens"].items()),
        *((name, "personal", token["token"]) for name, token in demo["personal_access_tokens"].items()),
    ]
    yield from tables.text(("OWNER", "KIND", "TOKEN (shown this once)"), issued)
    yield ""
    places = [(name, place) for name, place in demo["organizations"].items()]
    yield from tables.text(("ORGANIZATION", "ID"), places)


def _roles(name: str) -> str:
    """Who they are; the operator is nobody in any organization."""
    roles = ROLES.get(name, {})
    return ", ".join(f"{role.label.lower()} of {place}" for place, role in roles.items()) or "superuser"
