"""From what a query selects to what is loaded: only its columns, only its relations, a page at a time.

`plan` reads the selection against the sources of a NodeType; `narrow` applies it to a queryset, `complete` to
the rows that came. No field brings a query of its own: foreign keys are joined or prefetched through
`visible_to`, computed fields and nested connections are loaded for all rows of a page together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.db.models import Prefetch
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLResolveInfo,
    InlineFragmentNode,
    SelectionSetNode,
)

from config.graphql.nodes import Computed, NodeType, One, Single
from config.graphql.registry import NODES

Info = GraphQLResolveInfo[Any]


@dataclass
class Plan:
    """What to load of one model."""

    node: NodeType
    columns: set[str] = field(default_factory=lambda: {"id"})
    ones: dict[str, tuple[One | Single, Plan]] = field(default_factory=dict)
    computed: list[Computed] = field(default_factory=list)


@dataclass
class Page:
    """Rows that were loaded together, so that what hangs on them can be too."""

    rows: Sequence[Any]
    nested: dict[tuple[int, ...], Any] = field(default_factory=dict)


def fields(info: Info, nodes: Iterable[FieldNode], kind: str = "") -> Iterator[FieldNode]:
    """The fields selected below these field nodes, each fragment unfolded once.

    `kind`: the type they are selected of, where fragments may be on several.
    """
    unfolded: set[str] = set()
    for node in nodes:
        if node.selection_set is not None:
            yield from _unfold(info, node.selection_set, unfolded, kind)


def _unfold(info: Info, selections: SelectionSetNode, unfolded: set[str], kind: str) -> Iterator[FieldNode]:
    for selection in selections.selections:
        if isinstance(selection, FieldNode):
            yield selection
            continue
        fragment: InlineFragmentNode | FragmentDefinitionNode
        if isinstance(selection, FragmentSpreadNode):
            if selection.name.value in unfolded:
                continue
            unfolded.add(selection.name.value)
            fragment = info.fragments[selection.name.value]
        else:
            assert isinstance(selection, InlineFragmentNode)
            fragment = selection
        if _is_on(fragment, kind):
            yield from _unfold(info, fragment.selection_set, unfolded, kind)


def _is_on(fragment: InlineFragmentNode | FragmentDefinitionNode, kind: str) -> bool:
    """Whether a fragment selects of this type. There is one interface, and it is every type's."""
    condition = fragment.type_condition
    return not kind or condition is None or condition.name.value in (kind, "Node")


def below(info: Info, nodes: Iterable[FieldNode], *path: str) -> list[FieldNode]:
    """The field nodes at a path of names below these."""
    found = list(nodes)
    for name in path:
        found = [one for one in fields(info, found) if one.name.value == name]
    return found


def plan(info: Info, node: NodeType, nodes: Iterable[FieldNode]) -> Plan:
    """What the selection below these field nodes needs of a model."""
    wanted = Plan(node)
    for selected in fields(info, nodes, node.name):
        source = node.by_wire_name.get(selected.name.value)
        wanted.columns.update(source.columns if source else ())
        if isinstance(source, Computed):
            if source not in wanted.computed:
                wanted.computed.append(source)
        elif isinstance(source, One | Single):
            deeper = plan(info, NODES[source.target], [selected])
            _merge(wanted.ones.setdefault(source.name, (source, deeper))[1], deeper)
    return wanted


def _merge(into: Plan, more: Plan) -> None:
    into.columns |= more.columns
    into.computed += [one for one in more.computed if one not in into.computed]
    for name, (source, deeper) in more.ones.items():
        _merge(into.ones.setdefault(name, (source, deeper))[1], deeper)


def narrow(rows: models.QuerySet[Any], wanted: Plan, principal: Any) -> models.QuerySet[Any]:
    """The queryset, loading just what the plan names."""
    only, joined, prefetched = set(wanted.columns), [], []
    for name, (source, deeper) in wanted.ones.items():
        if isinstance(source, Single):
            continue  # complete() loads it
        if not deeper.ones and source.is_joined(wanted.node.scope, principal):
            joined.append(name)
            only.update(f"{name}__{column}" for column in deeper.columns)
        else:
            visible = narrow(deeper.node.visible_to(principal), deeper, principal)
            prefetched.append(Prefetch(name, queryset=visible))
    rows = rows.only(*only).prefetch_related(*prefetched)
    return rows.select_related(*joined) if joined else rows


def complete(rows: Sequence[Any], wanted: Plan, principal: Any) -> None:
    """Computed fields of a page's rows, what hangs on them, what they point at; each row knows its page."""
    page = Page(rows)
    for row in rows:
        vars(row)["_page"] = page
    if rows:
        for computed in wanted.computed:
            if computed.load is not None:
                computed.load(rows, principal)
        for name, (source, deeper) in wanted.ones.items():
            if isinstance(source, Single):
                _hang(rows, source, deeper, principal)
            # a joined target is an instance of its own for every row, though the same record
            targets = [row._state.fields_cache.get(name) for row in rows]
            complete([target for target in targets if target is not None], deeper, principal)


def _hang(rows: Sequence[Any], source: Single, wanted: Plan, principal: Any) -> None:
    """Give each row what its reverse relation holds, or nothing."""
    found = narrow(source.visible_to(principal, rows), wanted, principal)
    by_parent = {child.parent_key: child for child in found}
    for row in rows:
        row._state.fields_cache[source.name] = by_parent.get(row.pk)


def one(
    info: Info,
    node: NodeType,
    nodes: Iterable[FieldNode],
    rows: models.QuerySet[Any],
    principal: Any,
) -> Any:
    """The single row of a queryset, with what the selection needs. Raises the model's DoesNotExist."""
    wanted = plan(info, node, nodes)
    row = narrow(rows, wanted, principal).get()
    complete([row], wanted, principal)
    return row


def many(
    info: Info,
    node: NodeType,
    nodes: Iterable[FieldNode],
    rows: models.QuerySet[Any],
    principal: Any,
) -> list[Any]:
    """All rows of a queryset, with what the selection needs."""
    wanted = plan(info, node, nodes)
    found = list(narrow(rows, wanted, principal))
    complete(found, wanted, principal)
    return found
