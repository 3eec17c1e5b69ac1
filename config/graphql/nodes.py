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
from config.graphql.registry import NODES


@dataclass(frozen=True)
class Column:
    """An attribute of the row."""

    name: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)


@dataclass(frozen=True)
class One:
    """A foreign key. `joined`: whoever sees the row sees its target, so that one SELECT brings both.

    A scope in place of True: so does whoever holds it wherever they hold the row's.
    """

    name: str
    target: type[models.Model]
    joined: bool | str

    def is_joined(self, scope: str, principal: Any) -> bool:
        """`scope`: what its row asks of the caller."""
        if isinstance(self.joined, bool):
            return self.joined
        return set(principal.organizations_with(scope)) <= set(principal.organizations_with(self.joined))

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"{self.name}_id",)


Children = Callable[[Any, Any], models.QuerySet[Any]]
"""(parents: rows or a queryset, principal) -> visible rows, annotated with the `parent_key` they hang on."""


@dataclass(frozen=True)
class Below:
    """Rows that hang on a row. `children` finds those of all rows of a page at once."""

    name: str
    target: type[models.Model]
    children: Children
    columns = ("id",)

    def visible_to(self, principal: Any, parents: Any) -> models.QuerySet[Any]:
        """What the target's own root field would list, of what hangs on these."""
        found = self.children(parents, principal)
        return found if NODES[self.target].is_open_to(principal) else found.none()


@dataclass(frozen=True)
class Many(Below):
    """A nested connection."""


@dataclass(frozen=True)
class Single(Below):
    """The one row whose foreign key points here, null where it is not visible."""


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
    """What the contract has and no row does: always null, and searched as such."""

    name: str
    columns = ()


Source = Column | One | Many | Single | Computed | Absent


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

    def is_open_to(self, principal: Any) -> bool:
        """Whether the caller may ask for this type at all. Which rows of it, visible_to() tells."""
        return not self.scope or bool(principal.can_somewhere(self.scope))

    def carry(self, written: Any, shown: Any) -> None:
        """Let a mutation's answer show what only the instance that was written knows."""
        for attribute in self.carried:
            if attribute in vars(written):
                vars(shown)[attribute] = vars(written)[attribute]

    def visible_to(self, principal: Any) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = self.model._default_manager.visible_to(principal)  # type: ignore[attr-defined]
        return rows
