"""Misconfiguration that would cost tokens is a system check, with an id and a remedy."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from tokens import peppers, signatures
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


@register(Tags.security)
def check_leak_report_keys(**_: Any) -> list[CheckMessage]:
    """Each key of the ring is one, and its id fits into the audit trail. None is fine: nobody reports."""
    return [
        Error(
            f"The key {key_id!r} of LEAK_REPORT_KEYS is no ECDSA key on P-256, or its id is too long.",
            hint='Write "id:key", the id of 1 to 64 characters, the key as in its PEM file but in one line.',
            id="tokens.E005",
        )
        for key_id, key in settings.LEAK_REPORT_KEYS.items()
        if not 1 <= len(key_id) <= signatures.LONGEST_KEY_ID or not _is_key(key)
    ]


def _is_key(text: str) -> bool:
    try:
        signatures.public_key(text)
    except ValueError:
        return False
    return True


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
