"""Misconfiguration that would cost tokens is a system check, with an id and a remedy."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from tokens import peppers
from tokens.models import APIToken, PersonalAccessToken

SHORTEST_PEPPER_BYTES = 32


@register(Tags.security)
def check_peppers(**_: Any) -> list[CheckMessage]:
    """The ring is there, its secrets are long enough, and none of them is SECRET_KEY."""
    ring = settings.TOKEN_PEPPERS
    if not ring:
        return [
            Error(
                "TOKEN_PEPPERS is empty.",
                hint='Set TOKEN_PEPPERS="1:$(openssl rand -hex 32)".',
                id="tokens.E001",
            )
        ]
    found: list[CheckMessage] = [
        Error(
            f"The pepper {key_id!r} is shorter than {SHORTEST_PEPPER_BYTES} bytes.",
            hint="Put a new one first in TOKEN_PEPPERS; keep the old one behind it.",
            id="tokens.E002",
        )
        for key_id, pepper in ring.items()
        if len(pepper) < SHORTEST_PEPPER_BYTES
    ]
    if settings.SECRET_KEY.encode() in ring.values():
        found.append(
            Error(
                "SECRET_KEY serves as a pepper.",
                hint="Use a secret of its own, so that each can be rotated alone.",
                id="tokens.E003",
            )
        )
    return found


@register(Tags.database)
def check_ring_covers_database(databases: Any = None, **_: Any) -> list[CheckMessage]:
    """Every pepper that signed a living token is still in the ring. Runs with `check --database default`."""
    if not databases:
        return []
    try:
        used = {
            key_id
            for model in (APIToken, PersonalAccessToken)
            for key_id in model.objects.live().values_list("pepper_id", flat=True).distinct()
        }
    except DatabaseError:
        return []  # not migrated yet, or unreachable: migrate and /readyz say so better
    lost = used - set(peppers.key_ids())
    if not lost:
        return []
    return [
        Error(
            f"Tokens are signed with peppers that are not in TOKEN_PEPPERS: {', '.join(sorted(lost))}.",
            hint="Put them back behind the first; without them these tokens cannot authenticate.",
            id="tokens.E004",
        )
    ]
