"""From what a query selects to what is loaded: only its columns, only its relations, a page at a time.

`plan` reads the selection against the sources of a NodeType; `load` applies it to a queryset. No field
brings a query of its own: foreign keys are joined or prefetched through `visible_to`, computed fields and
nested connections are loaded for all rows of a page together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.db.models import Prefetch
from graphql import FieldNode, FragmentSpreadNode, GraphQLResolveInfo, InlineFragmentNode, SelectionSetNode

from config.graphql.generate import Column, Computed, NodeType, One
from config.graphql.naming import camel
from config.graphql.registry import NODES


@dataclass
class Plan:
    """What to load of one model."""

    node: NodeType
    columns: set[str] = field(default_factory=lambda: {"id"})
    ones: dict[str, tuple[One, Plan]] = field(default_factory=dict)
    computed: list[Computed] = field(default_factory=list)


@dataclass
class Page:
    """Rows that were loaded together, so that what hangs on them can be too."""

    rows: Sequence[Any]
    nested: dict[str, Any] = field(default_factory=dict)


def fields(info: GraphQLResolveInfo, nodes: Iterable[FieldNode]) -> Iterator[FieldNode]:
    """The fields selected below these field nodes, fragments unfolded."""
    for node in nodes:
        if node.selection_set is not None:
            yield from _unfolded(info, node.selection_set)


def _unfolded(info: GraphQLResolveInfo, selections: SelectionSetNode) -> Iterator[FieldNode]:
    for selection in selections.selections:
        if isinstance(selection, FieldNode):
            yield selection
        elif isinstance(selection, InlineFragmentNode):
            yield from _unfolded(info, selection.selection_set)
        elif isinstance(selection, FragmentSpreadNode):
            yield from _unfolded(info, info.fragments[selection.name.value].selection_set)


def below(info: GraphQLResolveInfo, nodes: Iterable[FieldNode], *path: str) -> list[FieldNode]:
    """The field nodes at a path of names below these."""
    found = list(nodes)
    for name in path:
        found = [one for one in fields(info, found) if one.name.value == name]
    return found


def plan(info: GraphQLResolveInfo, node: NodeType, nodes: Iterable[FieldNode]) -> Plan:
    """What the selection below these field nodes needs of a model."""
    wanted = Plan(node)
    wire = _by_wire_name(node)
    for selected in fields(info, nodes):
        source = wire.get(selected.name.value)
        if isinstance(source, Column):
            wanted.columns.add(source.name)
        elif isinstance(source, Computed):
            wanted.columns.update(source.columns)
            if source not in wanted.computed:
                wanted.computed.append(source)
        elif isinstance(source, One):
            wanted.columns.add(node.model._meta.get_field(source.name).attname)  # type: ignore[union-attr]
            below_it = plan(info, NODES[source.target], [selected])
            known = wanted.ones.setdefault(source.name, (source, below_it))[1]
            _merge(known, below_it)
    return wanted


def _merge(into: Plan, more: Plan) -> None:
    into.columns |= more.columns
    into.computed += [one for one in more.computed if one not in into.computed]
    for name, (source, deeper) in more.ones.items():
        _merge(into.ones.setdefault(name, (source, deeper))[1], deeper)


def _by_wire_name(node: NodeType) -> dict[str, Any]:
    names: dict[str, Any] | None = node.__dict__.get("_wire_names")
    if names is None:
        names = node.__dict__["_wire_names"] = {camel(name): source for name, source in node.sources.items()}
    return names


def narrow(rows: models.QuerySet[Any], wanted: Plan, principal: Any) -> models.QuerySet[Any]:
    """The queryset, loading just what the plan names."""
    only = set(wanted.columns)
    joined = [name for name, (source, _) in wanted.ones.items() if source.joined]
    prefetched = []
    for name, (source, deeper) in wanted.ones.items():
        if source.joined and not deeper.ones:
            only.update(f"{name}__{column}" for column in deeper.columns)
        else:
            joined = [one for one in joined if one != name]
            visible = narrow(deeper.node.visible_to(principal), deeper, principal)
            prefetched.append(Prefetch(name, queryset=visible))
    return (
        rows.select_related(*joined).only(*only).prefetch_related(*prefetched)
        if joined
        else (rows.only(*only).prefetch_related(*prefetched))
    )


def complete(rows: Sequence[Any], wanted: Plan, principal: Any) -> Page:
    """Computed fields of a page's rows and of what they point at; each row knows its page."""
    page = Page(rows)
    for row in rows:
        row.__dict__["_page"] = page
    if rows:
        for source in wanted.computed:
            if source.load is not None:
                source.load(rows, principal)
        for name, (_, deeper) in wanted.ones.items():
            targets = {row.__dict__["_state"].fields_cache.get(name) for row in rows} - {None}
            complete(list(targets), deeper, principal)
    return page


def one(
    info: GraphQLResolveInfo,
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
