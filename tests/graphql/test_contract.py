"""Our schema beside the contract's, name by name and type by type, for the two kinds of token.

contract.json holds the contract's facts: types, predicates and root fields about tokens. A difference that is
not in DELIBERATE fails, and so does an entry there that is no difference any more.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from graphql import parse, print_ast

from config.schema import schema
from tests.conftest import Query, World
from tests.factories import SETUP, make_personal_token
from tokens import services

CONTRACT = json.loads((Path(__file__).parent / "contract.json").read_text())

RESTRICTIONS = "notBefore|clearNotBefore|allowedAddresses|appendAllowedAddresses|clearAllowedAddresses"
LINEAGE = "rotatedFrom|rotatedTo|overlapEndsAt"

DELIBERATE = {
    r"(APIToken|PersonalAccessToken)\.(hint|abilities|usageCount|recentIPAddresses)": (
        "more: what the seeds tell of a token and the contract does not"
    ),
    r"(APIToken|PersonalAccessToken)\.(status|organizationStatuses|orphaned)|\w+TokenWhereInput\.orphaned": (
        "more: why a token is not accepted now, what ends it next, and whether its creator has left"
    ),
    rf"(Create|Update)?(APIToken|PersonalAccessToken)(Input|WhereInput)?\.({RESTRICTIONS})\w*": (
        "more: restrictions of a token beside its scopes"
    ),
    rf"(APIToken|PersonalAccessToken)(WhereInput)?\.({LINEAGE})\w*": "more: where a rotation leads",
    r"((mutation\.)?[rR]otate|Rotate)(APIToken|PersonalAccessToken)\w*(\W.*)?|\w+RotatePayload(\.\w+)?": (
        "more: the contract knows no rotation"
    ),
    r"\w+TokenWhereInput\.(hint|usageCount)\w*": (
        "more: every column has its predicates; abilities and recentIPAddresses are computed, and have none"
    ),
    r"UpdatePersonalAccessTokenInput\.(revokedReason|clearRevokedReason)": (
        "more: both kinds are revoked with a reason; clearing it is refused, because revoking is for good"
    ),
    r"PersonalAccessTokenBulkCreatePayload(\.\w+)?": (
        "less: no field of the contract answers it, so that no client can name it"
    ),
}
"""Pattern of a fact -> why we differ there."""

Facts = dict[str, str]
"""`APIToken.createdAt` -> `Time`; `query.apiTokens(first)` -> `Int`; `APIToken` -> `object Node`."""

KINDS = {
    "object_type_definition": "object",
    "input_object_type_definition": "input",
    "interface_type_definition": "interface",
    "enum_type_definition": "enum",
}
ROOTS = {"Query": "query", "Mutation": "mutation"}
ABOUT = re.compile(r"((query|mutation)\.)?\w*(?i:APIToken|PersonalAccessToken)")
"""A fact of a type, or of a root field, that is named after tokens."""


def theirs() -> Facts:
    facts: Facts = {}
    for name, described in CONTRACT["types"].items():
        facts[name] = " ".join([described["kind"], *described.get("implements", ())])
        facts |= {f"{name}.{value}": "value" for value in described.get("values", ())}
        for field, kind in described.get("fields", {}).items():
            facts |= their_field(f"{name}.{field}", kind)
    for name, described in CONTRACT["where"].items():
        keys = dict(predicates(name, described))
        assert len(keys) == described["count"]
        facts |= {name: "input"} | {f"{name}.{key}": kind for key, kind in keys.items()}
    for root, fields in CONTRACT["roots"].items():
        for field, described in fields.items():
            facts |= their_field(f"{root}.{field}", {"type": described["returns"], "args": described["args"]})
    return facts


def their_field(place: str, described: Any) -> Facts:
    if isinstance(described, str):
        return {place: described}
    default = f" = {described['default']}" if "default" in described else ""
    arguments = {f"{place}({name})": kind for name, kind in described.get("args", {}).items()}
    return {place: described["type"] + default} | arguments


def predicates(name: str, described: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys of a where input, which the contract lists per field: `Time NEQ In IsNil`."""
    yield from (("not", name), ("and", f"[{name}!]"), ("or", f"[{name}!]"))
    yield from described["edges"].items()
    for field, line in described["fields"].items():
        kind, *suffixes = line.split()
        if suffixes != ["Has"]:
            yield field, kind
        for suffix in suffixes:
            lists, booleans = ("In", "NotIn"), ("IsNil", "NotNil")
            yield (
                field + suffix,
                f"[{kind}!]" if suffix in lists else "Boolean" if suffix in booleans else kind,
            )


def ours() -> Facts:
    """All of the types the contract speaks of, its root fields, and all else about tokens."""
    known = {fact.partition("(")[0] for fact in theirs()}
    return {
        fact: kind
        for fact, kind in each_fact()
        if fact.partition("(")[0] in known or fact.partition(".")[0] in known or ABOUT.match(fact)
    }


def each_fact() -> Iterator[tuple[str, str]]:
    """Every fact of our schema."""
    for definition in parse(schema.as_str()).definitions:
        if definition.kind in KINDS:
            name = ROOTS.get(definition.name.value, definition.name.value)
            yield name, " ".join([KINDS[definition.kind], *map(named, parts(definition, "interfaces"))])
            for value in parts(definition, "values"):
                yield f"{name}.{named(value)}", "value"
            for field in parts(definition, "fields"):
                yield f"{name}.{named(field)}", typed(field)
                for argument in parts(field, "arguments"):
                    yield f"{name}.{named(field)}({named(argument)})", typed(argument)


def parts(node: Any, name: str) -> Sequence[Any]:
    return getattr(node, name, None) or ()


def named(node: Any) -> str:
    return str(node.name.value)


def typed(node: Any) -> str:
    default = getattr(node, "default_value", None)
    return print_ast(node.type) + (f" = {print_ast(default)}" if default else "")


def differences() -> dict[str, tuple[str | None, str | None]]:
    """Fact -> (what the contract says, what we do)."""
    expected, found = theirs(), ours()
    return {
        fact: (expected.get(fact), found.get(fact))
        for fact in sorted({*expected, *found})
        if expected.get(fact) != found.get(fact)
    }


def test_our_schema_differs_from_the_contract_only_where_we_say_so() -> None:
    undeclared = {
        fact: pair
        for fact, pair in differences().items()
        if not any(re.fullmatch(pattern, fact) for pattern in DELIBERATE)
    }

    assert undeclared == {}


@pytest.mark.parametrize("pattern", DELIBERATE)
def test_each_deliberate_difference_is_still_one(pattern: str) -> None:
    kind = DELIBERATE[pattern].partition(":")[0]
    pairs = [pair for fact, pair in differences().items() if re.fullmatch(pattern, fact)]

    assert pairs
    assert all(pair[kind == "less"] is None for pair in pairs)  # nothing the contract names has another type


def test_a_client_of_the_contract_need_not_send_what_only_we_know() -> None:
    known, found = theirs(), ours()
    inputs = {fact for fact, kind in found.items() if kind == "input"}
    fields = {fact.partition("(")[0] for fact in known}
    asked = [
        fact
        for fact in found
        if fact.partition("(")[0] in fields or (fact.partition(".")[0] in inputs & known.keys())
    ]

    assert [fact for fact in asked if fact not in known and found[fact].endswith("!")] == []


# --- what the contract has and nobody here fills -----------------------------------------------------

SEARCH = """query($where: PersonalAccessTokenWhereInput) {
    personalAccessTokens(where: $where) { totalCount edges { node { name updatedByImpersonator } } }
}"""


@pytest.mark.parametrize(
    ("where", "is_found"),
    [
        ({}, True),
        ({"updatedByImpersonatorIsNil": True}, True),
        ({"updatedByImpersonatorIsNil": False}, True),
        ({"updatedByImpersonatorNotNil": True}, False),
        ({"updatedByImpersonatorNotNil": False}, True),
        ({"updatedByImpersonator": ""}, False),
        ({"updatedByImpersonatorNEQ": "x"}, False),
        ({"updatedByImpersonatorIn": ["x"]}, False),
        ({"updatedByImpersonatorNotIn": ["x"]}, False),
        ({"updatedByImpersonatorContainsFold": ""}, False),
        ({"updatedByImpersonatorGT": ""}, False),
        ({"not": {"updatedByImpersonator": "x"}}, True),
        ({"not": {"updatedByImpersonatorIsNil": True}}, False),
        ({"updatedByImpersonatorIsNil": True, "name": "another"}, False),
        ({"or": [{"updatedByImpersonator": "x"}, {"name": "script"}]}, True),
    ],
    ids=str,
)
def test_nobody_is_found_to_have_acted_in_anothers_name(
    world: World, query: Query, where: dict[str, Any], is_found: bool
) -> None:
    answer = query(SEARCH, {"where": where}, token=make_personal_token(world.owner).token)

    nodes = [edge["node"] for edge in answer.data["personalAccessTokens"]["edges"]]
    assert nodes == [{"name": "script", "updatedByImpersonator": None}] * is_found


# --- tokens by what happened to them -----------------------------------------------------------------


def test_personal_tokens_are_found_by_their_events(world: World, query: Query) -> None:
    asking, revoked = (make_personal_token(world.owner, name=name) for name in ("asking", "revoked"))
    services.revoke(SETUP, revoked, reason="leaked")
    make_personal_token(world.admin, name="somebody else's")

    def found(**where: Any) -> list[str]:
        page = query(SEARCH, {"where": where}, token=asking.token).data["personalAccessTokens"]
        return [edge["node"]["name"] for edge in page["edges"]]

    assert found(hasEvents=True) == ["asking", "revoked"]
    assert found(hasEvents=False) == []
    assert found(hasEventsWith=[{"action": "personal_access_token.revoked"}]) == ["revoked"]
    assert found(hasEventsWith=[{"action": "personal_access_token.deleted"}]) == []
    assert found(**{"not": {"hasEventsWith": [{"action": "personal_access_token.revoked"}]}}) == ["asking"]


def test_a_token_that_may_not_read_events_finds_nothing_by_them(world: World, query: Query) -> None:
    token = make_personal_token(world.owner, "read:tokens").token

    answer = query(SEARCH, {"where": {"hasEvents": True}}, token=token)

    assert answer.data["personalAccessTokens"]["totalCount"] == 0


def test_each_personal_token_shows_its_own_events(world: World, query: Query) -> None:
    tokens = [make_personal_token(world.owner, name=name) for name in ("first", "second")]
    services.revoke(SETUP, tokens[0], reason=None)

    page = query(
        "{ personalAccessTokens { edges { node { id events { edges { node { action targetID } } } } } } }",
        token=tokens[1].token,
    ).data["personalAccessTokens"]

    shown = {edge["node"]["id"]: edge["node"]["events"]["edges"] for edge in page["edges"]}
    told = {
        key: [edge["node"]["action"].rpartition(".")[2] for edge in edges] for key, edges in shown.items()
    }
    assert told == {str(tokens[0].pk): ["created", "revoked"], str(tokens[1].pk): ["created"]}
    assert all(edge["node"]["targetID"] == key for key, edges in shown.items() for edge in edges)
