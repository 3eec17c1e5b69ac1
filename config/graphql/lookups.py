"""Case-sensitive text lookups on every database: SQLite's LIKE ignores case, its GLOB does not."""

from __future__ import annotations

import re
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import lookups
from django.db.models.sql.compiler import SQLCompiler

_MAGIC = re.compile(r"[*?[]")


class _Globbing:
    """In front of one of Django's own lookups, which every other database keeps."""

    pattern: str

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        lhs, params = self.process_lhs(compiler, connection)  # type: ignore[attr-defined]
        text = str(self.rhs)  # type: ignore[attr-defined]
        if isinstance(self, lookups.UUIDTextMixin):
            text = text.replace("-", "")  # SQLite stores them without
        return f"{lhs} GLOB %s", [*params, self.pattern.format(_MAGIC.sub(r"[\g<0>]", text))]


def _register(name: str, pattern: str, lookup: type[models.Lookup[Any]], *fields: Any) -> None:
    made = type(lookup.__name__, (_Globbing, lookup), {"pattern": pattern})
    for field in fields:
        field.register_lookup(made, name)


for _name, _pattern, _text, _uuid in (
    ("has_substring", "*{}*", lookups.Contains, lookups.UUIDContains),
    ("has_prefix", "{}*", lookups.StartsWith, lookups.UUIDStartsWith),
    ("has_suffix", "*{}", lookups.EndsWith, lookups.UUIDEndsWith),
):
    _register(_name, _pattern, _text, models.CharField, models.TextField)
    _register(_name, _pattern, _uuid, models.UUIDField)
