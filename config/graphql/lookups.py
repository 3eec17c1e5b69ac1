"""Case-sensitive text lookups that mean the same on every database: SQLite's LIKE ignores case."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import Contains, EndsWith, StartsWith
from django.db.models.sql.compiler import SQLCompiler


class _OnSQLite:
    template: str

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        lhs, params = self.process_lhs(compiler, connection)  # type: ignore[attr-defined]
        value = str(self.rhs)  # type: ignore[attr-defined]
        sql = self.template.format(column=lhs)
        return sql, [*params, *([value] * (sql.count("%s") - lhs.count("%s")))]


class HasSubstring(_OnSQLite, Contains):  # type: ignore[type-arg, misc]
    lookup_name = "has_substring"
    template = "INSTR({column}, %s) > 0"


class HasPrefix(_OnSQLite, StartsWith):  # type: ignore[type-arg, misc]
    lookup_name = "has_prefix"
    template = "SUBSTR({column}, 1, LENGTH(%s)) = %s"


class HasSuffix(_OnSQLite, EndsWith):  # type: ignore[type-arg, misc]
    lookup_name = "has_suffix"
    template = "SUBSTR({column}, -LENGTH(%s)) = %s"


for _field in (models.CharField, models.TextField, models.UUIDField):
    for _lookup in (HasSubstring, HasPrefix, HasSuffix):
        _field.register_lookup(_lookup)
