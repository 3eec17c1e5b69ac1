"""The six kinds of people as principals, what came of a service for each, and what the trail says of it."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.utils import timezone

from audit.models import Event
from organizations.access import InsufficientScopes, Principal, Unauthorized
from tests.conftest import World
from tests.factories import make_api_token, make_personal_token
from tokens.authentication import identify, person
from tokens.models import Token

SIX = ("owner", "admin", "member", "auditor", "outsider", "both")


def holder_of(token: Token) -> Principal:
    return identify(token.token, timezone.now())


def acting(world: World, who: str) -> Principal:
    """`who` with a session; "... token": with a personal token of the scope admin; "api token": acme's."""
    if who == "api token":
        return holder_of(make_api_token(world.acme, "admin"))
    name, _, has_token = who.partition(" ")
    user = getattr(world, name)
    return holder_of(make_personal_token(user, "admin")) if has_token else person(user)


def outcome(act: Callable[[], Any]) -> str:
    """What came of it: ok, role, scope, missing or invalid."""
    try:
        act()
    except InsufficientScopes:
        return "scope"
    except Unauthorized:
        return "role"
    except ObjectDoesNotExist:
        return "missing"
    except ValidationError:
        return "invalid"
    return "ok"


def fields_of(fault: ValidationError) -> set[str]:
    return set(fault.update_error_dict({}))


def trail(after: int = 0) -> list[str]:
    """What happened, in order, without the first `after` events."""
    return list(Event.objects.order_by("id").values_list("action", flat=True))[after:]


def told(act: Callable[[], Any]) -> list[str]:
    """The events of one act."""
    before = Event.objects.count()
    act()
    return trail(before)
