"""Model fields the standard library of Django lacks. Neighbours: every app's models."""

from __future__ import annotations

from typing import Any, cast

from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.query_utils import DeferredAttribute
from django.db.models.sql.compiler import SQLCompiler

from organizations.sealing import Sealed


class StringListField(models.JSONField):
    """A list of strings, stored as a JSON array so that SQLite and PostgreSQL hold the same thing."""

    empty_strings_allowed = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("default", list)
        kwargs.setdefault("blank", True)
        super().__init__(*args, **kwargs)

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        super().validate(value, model_instance)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValidationError("Give a list of strings.", code="invalid")


@StringListField.register_lookup
class Has(models.Lookup):  # type: ignore[type-arg]  # not subscriptable at run time
    """`field__has="x"`: the list contains exactly this string."""

    lookup_name = "has"
    prepare_rhs = False

    def get_db_prep_lookup(self, value: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        return "%s", (value,)

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        lhs, lhs_params = self.process_lhs(compiler, connection)
        rhs, rhs_params = self.process_rhs(compiler, connection)
        sql = f"EXISTS (SELECT 1 FROM json_each({lhs}) WHERE json_each.value = {rhs})"  # noqa: S608
        return sql, (*lhs_params, *rhs_params)

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        lhs, lhs_params = self.process_lhs(compiler, connection)
        rhs, rhs_params = self.process_rhs(compiler, connection)
        return f"jsonb_exists({lhs}, {rhs})", (*lhs_params, *rhs_params)


class SealedAttribute(DeferredAttribute):
    """Seals what is assigned, at once: no instance ever holds the secret itself."""

    def __set__(self, instance: models.Model, value: Any) -> None:
        field = cast("SealedField", self.field)
        instance.__dict__[field.attname] = field.to_python(value)


class SealedField(models.TextField):  # type: ignore[type-arg]  # not subscriptable at run time
    """A secret, encrypted in its column. Its value is a `Sealed`, which prints as a mask, or None.

    Assigning text seals it; assigning "" or None removes it. Raises ValidationError on assignment.
    """

    descriptor_class = SealedAttribute

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "null": True, "blank": True})

    def to_python(self, value: Any) -> Sealed | None:
        if value is None or isinstance(value, Sealed):
            return value
        try:
            return Sealed.of(str(value)) if value else None
        except ValidationError as fault:
            raise ValidationError({self.name: fault.error_list}) from fault

    def from_db_value(self, value: str | None, *_: Any) -> Sealed | None:
        return None if value is None else Sealed(value)

    def get_prep_value(self, value: Any) -> str | None:
        sealed = self.to_python(value)
        return None if sealed is None else sealed.ciphertext

    def get_lookup(self, lookup_name: str) -> type[models.Lookup[Any]] | None:
        """Whether there is one can be asked, and nothing about it."""
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None
