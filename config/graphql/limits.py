"""What a request may cost: fragments, fields, depth, aliases, and values it could ask for.

One pass, memoised per fragment, so that fragments within fragments cost no more than their text. It comes
before validation, whose work grows with the square of fields and fragments; the parser itself stops at
MOST_TOKENS.
"""

from __future__ import annotations

from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

from config.graphql.connection import MOST

MOST_TOKENS = 5_000
MOST_FRAGMENTS = 200
MOST_FIELDS = 1_000
DEEPEST = 20
MOST_ALIASES = 50
MOST_COST = 200_000
MOST_OBJECTS = 1_500
"""In a body: reading one against a where input takes as long as a hundred plain values."""


class Weight(NamedTuple):
    """Of a selection: how deep it goes, how many aliases it holds, how many values it may answer.

    `is_page`: whether it selects edges, and so answers as many rows as its field asks for.
    """

    depth: int = 0
    aliases: int = 0
    cost: int = 0
    is_page: bool = False


def check(document: DocumentNode) -> list[GraphQLError]:
    """What is too much about a document; empty when it is fine. Cyclic fragments are validation's to name."""
    meter = Meter(document)
    found = _too_much("many fragments", len(meter.fragments), MOST_FRAGMENTS)
    if found:
        return found
    for operation in document.definitions:
        if isinstance(operation, OperationDefinitionNode):
            weight = meter.of(operation.selection_set)
            found += _too_much("deep", weight.depth, DEEPEST)
            found += _too_much("full of aliases", weight.aliases, MOST_ALIASES)
            found += _too_much("large", weight.cost, MOST_COST)
    return found + _too_much("full of fields", meter.fields, MOST_FIELDS)


def _too_much(what: str, size: int, most: int) -> list[GraphQLError]:
    if size <= most:
        return []
    message = f"The query is too {what}: {size}, where {most} is the most. Split it."
    return [GraphQLError(message, extensions={"code": "BAD_REQUEST"})]


class Meter:
    """Weighs the selections of one document, each fragment once."""

    def __init__(self, document: DocumentNode) -> None:
        self.fragments = {
            one.name.value: one.selection_set
            for one in document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }
        self.known: dict[str, Weight] = {}
        self.fields = 0

    def of(self, selections: SelectionSetNode | None) -> Weight:
        if selections is None:
            return Weight()
        weights = [self._one(selection) for selection in selections.selections]
        return Weight(
            max((weight.depth for weight in weights), default=0),
            sum(weight.aliases for weight in weights),
            min(sum(weight.cost for weight in weights), MOST_COST + 1),
            any(weight.is_page for weight in weights),
        )

    def _one(self, selection: SelectionNode) -> Weight:
        if isinstance(selection, FragmentSpreadNode):
            return self._fragment(selection.name.value)
        if isinstance(selection, InlineFragmentNode):
            return self.of(selection.selection_set)
        assert isinstance(selection, FieldNode)
        self.fields += 1
        below = self.of(selection.selection_set)
        return Weight(
            below.depth + 1,
            below.aliases + (selection.alias is not None),
            1 + below.cost * (_rows(selection) if below.is_page or selection.name.value == "nodes" else 1),
            selection.name.value == "edges",
        )

    def _fragment(self, name: str) -> Weight:
        if name not in self.known:
            self.known[name] = Weight()  # ends a cycle
            self.known[name] = self.of(self.fragments.get(name))
        return self.known[name]


def _rows(field: FieldNode) -> int:
    """How many rows a field may answer: `first`, `last` or `ids` where it is a literal, else a full page."""
    for argument in field.arguments or ():
        if argument.name.value == "ids" and isinstance(argument.value, ListValueNode):
            return max(1, min(len(argument.value.values), MOST))
        if argument.name.value in ("first", "last") and isinstance(argument.value, IntValueNode):
            return max(1, min(int(argument.value.value[:9]), MOST))
    return MOST
