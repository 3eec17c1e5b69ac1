"""What every service does with a row: take the fields a client may set, validate, save, and tell the trail.

Neighbours: services.py, invitations.py and accounts/services.py, which decide; signals.py, which listens.
"""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models

from organizations.access import Principal
from organizations.models import Record
from organizations.sealing import Sealed
from organizations.signals import happened


def rewrite(principal: Principal, record: Record, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Set these fields, validate, save. Returns {field: [before, after]}; {} when nothing differs.

    What it returns is for the trail: a sealed secret is told as its mask.
    """
    before = {name: getattr(record, name) for name in changes}
    for name, value in changes.items():
        setattr(record, name, value)
    record.full_clean()
    difference = {
        name: [_told(was), _told(getattr(record, name))]
        for name, was in before.items()
        if was != getattr(record, name)
    }
    if difference:
        record.updated_by = principal.id
        record.save()
    return difference


def _told(value: Any) -> Any:
    return str(value) if isinstance(value, Sealed | UUID) else value


def require_known(changes: Mapping[str, Any], known: Collection[str]) -> None:
    """Raises ValidationError naming the fields that are not a client's to set."""
    refused = dict.fromkeys(sorted(changes.keys() - set(known)), "The server sets this field. Leave it out.")
    if refused:
        raise ValidationError(refused)


def announce(
    principal: Principal,
    action: str,
    target: models.Model,
    organization_id: UUID | None,
    *,
    subject_id: UUID | None = None,
    **changes: Any,
) -> None:
    happened.send(
        sender=type(target),
        principal=principal,
        action=action,
        target=target,
        organization_id=organization_id,
        subject_id=subject_id,
        changes=changes,
    )
