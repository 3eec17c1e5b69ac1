"""What a document may cost: depth, aliases, root fields, and rows it could ask for.

One pass, memoised per fragment, so that fragments within fragments cost no more than their text. The
parser itself stops at MOST_TOKENS.
"""

from __future__ import annotations

from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from config.graphql.connection import MOST

MOST_TOKENS = 10_000
DEEPEST = 20
MOST_ALIASES = 100
MOST_COST = 200_000


class Weight(NamedTuple):
    """Of a selection: how deep it goes, how many aliases it holds, how many values it may answer."""

    depth: int = 0
    aliases: int = 0
    cost: int = 0


def check(document: DocumentNode) -> list[GraphQLError]:
    """What is too much about a document; empty when it is fine. Cyclic fragments are validation's to name."""
    meter = _Meter(document)
    errors = []
    for operation in document.definitions:
        if isinstance(operation, OperationDefinitionNode):
            weight = meter.of(operation.selection_set)
            errors += [
                GraphQLError(
                    f"The query is too {what}: {value}, where {limit} is the most. Split it.",
                    extensions={"code": "BAD_REQUEST"},
                )
                for what, value, limit in (
                    ("deep", weight.depth, DEEPEST),
                    ("full of aliases", weight.aliases, MOST_ALIASES),
                    ("large", weight.cost, MOST_COST),
                )
                if value > limit
            ]
    return errors


class _Meter:
    def __init__(self, document: DocumentNode) -> None:
        self.fragments = {
            one.name.value: one.selection_set
            for one in document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }
        self.known: dict[str, Weight] = {}

    def of(self, selections: SelectionSetNode | None) -> Weight:
        if selections is None:
            return Weight()
        depth = aliases = cost = 0
        for selection in selections.selections:
            weight = self._one(selection)
            depth = max(depth, weight.depth)
            aliases += weight.aliases
            cost = min(cost + weight.cost, MOST_COST + 1)
        return Weight(depth, aliases, cost)

    def _one(self, selection: object) -> Weight:
        if isinstance(selection, FragmentSpreadNode):
            return self._fragment(selection.name.value)
        if isinstance(selection, FieldNode):
            below = self.of(selection.selection_set)
            return Weight(
                below.depth + 1,
                below.aliases + (selection.alias is not None),
                1 + below.cost * _rows(selection),
            )
        return self.of(selection.selection_set)  # type: ignore[attr-defined]

    def _fragment(self, name: str) -> Weight:
        if name not in self.known:
            self.known[name] = Weight()  # ends a cycle
            self.known[name] = self.of(self.fragments.get(name))
        return self.known[name]


def _rows(field: FieldNode) -> int:
    """How many rows a field may answer: `first` or `last` where it is a literal, else a full page."""
    if not any(isinstance(one, FieldNode) and one.name.value == "edges" for one in _inner(field)):
        return 1
    for argument in field.arguments or ():
        if argument.name.value in ("first", "last") and isinstance(argument.value, IntValueNode):
            return max(1, min(int(argument.value.value[:9]), MOST))
    return MOST


def _inner(field: FieldNode) -> tuple[object, ...]:
    return tuple(field.selection_set.selections) if field.selection_set else ()
