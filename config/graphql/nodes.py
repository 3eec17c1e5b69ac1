"""What the machinery knows of a model on the wire: each field, and where its value comes from.

Sources are data, made by generate.py and read by selection.py (what to load), where.py (what to search) and
connection.py (what hangs below a row).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db import models

from config.graphql.naming import camel


@dataclass(frozen=True)
class Column:
    """An attribute of the row."""

    name: str


@dataclass(frozen=True)
class One:
    """A foreign key. `joined`: whoever sees the row sees its target, so that one SELECT brings both."""

    name: str
    target: type[models.Model]
    joined: bool


Children = Callable[[Any, Any], models.QuerySet[Any]]
"""(parents: rows or a queryset, principal) -> visible rows, annotated with the `parent_key` they hang on."""


@dataclass(frozen=True)
class Many:
    """A nested connection."""

    name: str
    target: type[models.Model]
    children: Children


Loader = Callable[[Sequence[Any], Any], None]
"""(rows, principal): sets an attribute of all these rows at once."""


@dataclass(frozen=True)
class Computed:
    """A property of the model, made of columns, and of what `load` brings for a whole page.

    `condition`: what finds the rows for which it is true, where it can be searched by.
    """

    name: str
    columns: tuple[str, ...]
    load: Loader | None
    condition: Callable[[], models.Q] | None = None


@dataclass(frozen=True)
class Absent:
    """A text that the contract has and no row does: always null, and searched as such."""

    name: str


Source = Column | One | Many | Computed | Absent


@dataclass
class NodeType:
    """A model on the wire.

    `annotations`: attribute -> name of its GraphQL type. `carried`: what a mutation's answer keeps of the
    instance that was written. `scope`: what its own root field asks of the caller, if it has one.
    """

    model: type[models.Model]
    name: str
    columns: tuple[models.Field[Any, Any], ...]
    carried: tuple[str, ...] = ()
    scope: str = ""
    sources: dict[str, Source] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)

    @cached_property
    def by_wire_name(self) -> dict[str, Source]:
        return {camel(name): source for name, source in self.sources.items()}

    def is_optional(self, name: str) -> bool:
        """Whether a field can be null on the wire."""
        return self.annotations[name].endswith("| None")

    def carry(self, written: Any, shown: Any) -> None:
        """Let a mutation's answer show what only the instance that was written knows."""
        for attribute in self.carried:
            if attribute in vars(written):
                vars(shown)[attribute] = vars(written)[attribute]

    def visible_to(self, principal: Any) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = self.model._default_manager.visible_to(principal)  # type: ignore[attr-defined]
        return rows
