"""Files of usage that a process could not write before it ended. They hold token ids, no value, no digest.

A file appears under its name complete or not at all. Neighbour: usage.py, which fills and takes them in;
settings.USAGE_SPOOL_DIR says where they are.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from uuid_utils.compat import uuid7


class Unreadable(Exception):
    """A file in the spool that is not one of ours, or is damaged, or may not be read."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is no usage file. Look at it, and remove it from the spool.")


@dataclass(frozen=True, slots=True)
class Spilled:
    """A file and what it holds: rows as usage.Gathered.as_rows() gives them, after a way through JSON."""

    path: Path
    id: UUID
    spilled_at: datetime
    rows: Mapping[str, Any]


def store(rows: Mapping[str, Any]) -> Path:
    """Raises OSError."""
    directory: Path = settings.USAGE_SPOOL_DIR
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = {"id": uuid7(), "spilled_at": timezone.now(), "rows": rows}
    draft, path = directory / f"{content['id']}.draft", directory / f"{content['id']}.json"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, cls=_Encoder)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    return path


class _Encoder(DjangoJSONEncoder):
    def default(self, value: Any) -> Any:
        """Django cuts times to milliseconds; these are added to rows that keep microseconds."""
        return value.isoformat() if isinstance(value, datetime) else super().default(value)


def waiting() -> list[Path]:
    """The files there are, oldest first."""
    return sorted(settings.USAGE_SPOOL_DIR.glob("*.json"))


def read(path: Path) -> Spilled:
    """Raises Unreadable."""
    try:
        content = json.loads(path.read_bytes())
        return Spilled(
            path, UUID(content["id"]), datetime.fromisoformat(content["spilled_at"]), content["rows"]
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as fault:
        raise Unreadable(path) from fault
