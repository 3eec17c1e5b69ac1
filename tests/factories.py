"""People and organizations for tests, made through the services: they hold what users hold."""

from typing import Any

import factory

from accounts.models import User
from organizations import services as organizations
from organizations.access import Principal, command
from organizations.models import Organization, Role
from tokens import services as tokens
from tokens.authentication import person
from tokens.models import APIToken, PersonalAccessToken

SETUP: Principal = command("test set-up")


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User

    email = factory.Sequence(lambda n: f"person{n}@example.org")
    first_name = factory.Faker("first_name")
    last_name = factory.Faker("last_name")
    password = "correct horse battery staple"

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        return User.objects.create_user(*args, **kwargs)


def make_organization(name: str, owner: User | None = None) -> Organization:
    owner = owner or UserFactory()
    return organizations.create_organization(SETUP, name=name, owner_id=owner.pk)


def join(user: User, organization: Organization, role: str = Role.MEMBER) -> User:
    organizations.add_member(SETUP, organization_id=organization.pk, user_id=user.pk, role=role)
    return user


def make_api_token(organization: Organization, *scopes: str, **fields: Any) -> APIToken:
    """A token with its value in `.token`."""
    fields.setdefault("name", "machine")
    return tokens.create_api_token(SETUP, organization_id=organization.pk, scopes=scopes, **fields)


def make_personal_token(user: User, *scopes: str, **fields: Any) -> PersonalAccessToken:
    """A token with its value in `.token`."""
    fields.setdefault("name", "script")
    return tokens.create_personal_access_token(person(user), scopes=scopes, **fields)
