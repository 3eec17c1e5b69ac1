"""Keys that would lose a secret are a system check, with an id and a remedy. Neighbour: sealing.py."""

from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from organizations.models import OrganizationSetting
from organizations.sealing import Unreadable


@register(Tags.security)
def check_field_keys(**_: Any) -> list[CheckMessage]:
    """Each key of the ring is one. None at all is fine: then no secret can be kept."""
    return [
        Error(
            f"Key {place} of FIELD_KEYS is no Fernet key.",
            hint="Make one with: openssl rand -base64 32 | tr +/ -_",
            id="organizations.E001",
        )
        for place, key in enumerate(settings.FIELD_KEYS, 1)
        if not _is_key(key)
    ]


@register(Tags.database)
def check_ring_opens_secrets(databases: Any = None, **_: Any) -> list[CheckMessage]:
    """Every stored secret can be read. Runs with `check --database default`."""
    if not databases or check_field_keys():
        return []
    try:
        sealed = list(OrganizationSetting.objects.with_secret().select_related("organization"))
    except DatabaseError:
        return []  # not migrated yet, or unreachable: migrate and /readyz say so better
    return [
        Error(
            f"No key of FIELD_KEYS opens the client secret of {setting.organization}.",
            hint="Put the former key back behind the first, and run manage.py resealsecrets.",
            id="organizations.E002",
        )
        for setting in sealed
        if not _is_readable(setting)
    ]


def _is_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return True


def _is_readable(setting: OrganizationSetting) -> bool:
    try:
        setting.identity_provider_client_secret.reveal()
    except Unreadable:
        return False
    return True
