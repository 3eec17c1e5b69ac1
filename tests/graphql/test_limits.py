"""What a request may cost. Work is counted where it can be; where time is taken, the bound is far off."""

import time
from collections.abc import Callable

import pytest
from graphql import GraphQLObjectType, OperationDefinitionNode, get_introspection_query, is_leaf_type, parse
from graphql import get_named_type as named

from config.graphql import limits
from config.schema import schema
from tests.conftest import Answer, Query, World
from tests.factories import make_personal_token

SECONDS = 1.0
"""Far more than any of these refusals takes, and far less than what they ask for would."""

Ask = Callable[..., Answer]


@pytest.fixture
def ask(world: World, query: Query) -> Ask:
    """ask(document, **variables) as the owner of acme."""
    token = make_personal_token(world.owner).token
    return lambda document, **variables: query(document, variables, token=token)


def nest(*selections: str) -> str:
    """Each selection below the last field of the one before it."""
    return " { ".join(selections) + " }" * (len(selections) - 1)


def refused(answer: Answer, what: str) -> bool:
    return (answer.status, answer.code) == (400, "BAD_REQUEST") and what in answer.error["message"]


# --- depth and aliases -------------------------------------------------------------------------------

ROUND = ["organization", "members(first: 1)", "edges", "node"]
"""From a membership to a membership, four levels deeper."""


def deep(levels: int) -> str:
    """So many fields within each other, and few values."""
    fields = ["orgMemberships(first: 1)", "edges", "node", *ROUND * levels]
    return nest("", *fields[: levels - 1], "__typename")


def test_twenty_levels_are_deep_enough(ask: Ask) -> None:
    assert ask(deep(20)).data
    assert refused(ask(deep(21)), "too deep: 21, where 20 is the most")


def test_depth_is_counted_through_fragments(ask: Ask) -> None:
    def document(rounds: int) -> str:
        fragment = nest(" fragment M on OrgMembership", *ROUND * rounds, "... on OrgMembership { id }")
        return nest("", "orgMemberships(first: 1)", "edges", "node", "...M") + fragment

    assert ask(document(4)).data
    assert refused(ask(document(5)), "too deep: 24, where 20 is the most")


@pytest.mark.parametrize(
    ("before", "field", "most"),
    [
        ("{ %", "me { id }", 50),
        ("{ ... on Query { % } ", "me { id }", 50),
        ("{ ...F } fragment F on Query { %", "me { id }", 50),
        ("{ me { ...F } self { ...F } } fragment F on User { %", "id", 25),
    ],
)
def test_fifty_aliases_are_enough_wherever_they_stand(ask: Ask, before: str, field: str, most: int) -> None:
    def document(aliases: int) -> str:
        return before.replace("%", " ".join(f"a{number}: {field}" for number in range(aliases))) + " }"

    assert ask(document(most)).data
    assert refused(ask(document(most + 1)), "too full of aliases: 5")


def test_an_operation_that_is_not_asked_for_must_be_modest_too(ask: Ask) -> None:
    """The document is judged once, and kept for whoever sends it."""
    many = " ".join(f"a{number}: me {{ id }}" for number in range(51))

    assert refused(ask(f"query A {{ me {{ id }} }} query B {{ {many} }}"), "too full of aliases: 51")


# --- values ------------------------------------------------------------------------------------------


def members(page: str, asked: str = "") -> str:
    """A page of memberships below each row of a page of tokens."""
    return nest("", "apiTokens", "edges", "node", "owner", f"members{asked}", page)


MANY = nest("edges", "node", "id " * 21)


@pytest.mark.parametrize(
    "document",
    [
        members(nest("edges", "node", "organization", "groups", "edges", "node", "id")),
        members(MANY),
        members("...F") + nest(" fragment F on OrgMembershipConnection", MANY),
        members(nest("...", MANY)),
        members(nest("... @include(if: true)", nest("...", MANY))),
        members(MANY, "(first: 1000000)"),
        members(MANY, "(last: 99999999999999999999)"),
        "query($n: Int)" + members(MANY, "(first: $n)"),
    ],
    ids=lambda document: document.replace("id ", "")[-80:],
)
def test_more_than_200000_values_are_too_many(ask: Ask, document: str) -> None:
    """A page counts as the rows it may have, wherever its edges are written."""
    assert refused(ask(document), "too large")


@pytest.mark.parametrize(
    "document",
    [
        members("totalCount " + nest("edges", "node", "id role user { id email }")),
        members(MANY, "(first: 50)"),
        members("totalCount " * 500),
    ],
    ids=lambda document: document[:90],
)
def test_fewer_are_not(ask: Ask, document: str) -> None:
    assert ask(document).data


def test_a_million_rows_are_no_page(ask: Ask) -> None:
    assert ask("{ apiTokens(first: 1000000) { edges { node { id } } } }").code == "INVALID_PAGINATION"


# --- text --------------------------------------------------------------------------------------------


def flat_fragments(count: int) -> str:
    fragments = (f"fragment F{number} on User {{ id }}" for number in range(count))
    return nest("", "me", " ".join(f"...F{number}" for number in range(count))) + " ".join(fragments)


def nested_fragments(levels: int, spread: str = "...F%") -> str:
    """Each fragment spreads the next one."""
    fragments = (
        f"fragment F{number} on User {{ id {spread.replace('%', str(number + 1))} }}"
        for number in range(levels)
    )
    return "{ me { ...F0 } }" + " ".join(fragments) + f" fragment F{levels} on User {{ id }}"


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (nest("", "me", "id " * 1_000), "too full of fields: 1001, where 1000 is the most"),
        (nest("", "me", "id " * 4_990), "too full of fields"),
        (nest("", "me", "id " * 5_000), "more than 5000 tokens"),
        (nest("", "me", "id" + " @skip(if: false)" * 1_000), "more than 5000 tokens"),
        (flat_fragments(201), "many fragments: 201, where 200 is the most"),
    ],
    ids=lambda value: value[:40],
)
def test_a_document_says_so_much_and_no_more(ask: Ask, document: str, what: str) -> None:
    assert refused(ask(document), what)


class Counting(limits.Meter):
    """A meter that counts what it looks at."""

    steps = 0

    def _one(self, selection: object) -> limits.Weight:
        self.steps += 1
        return super()._one(selection)  # type: ignore[arg-type]


@pytest.mark.parametrize("spread", ["...F%", "...F% ...F%", "...F% ... { ...F% } ...F%"])
def test_each_selection_of_nested_fragments_is_weighed_once(spread: str) -> None:
    text = nested_fragments(150, spread)
    document = parse(text)
    meter = Counting(document)
    (operation,) = (one for one in document.definitions if isinstance(one, OperationDefinitionNode))

    meter.of(operation.selection_set)

    written = text.count("...") + text.count(" id ") + text.count("{ me ")
    assert meter.steps == written


def test_150_nested_fragments_are_fine_and_their_doubling_is_not(ask: Ask) -> None:
    started = time.process_time()

    assert ask(nested_fragments(150)).data
    assert refused(ask(nested_fragments(150, "...F% ...F%")), "too large")

    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    "document",
    [
        "{ me { ...A } } fragment A on User { id ...A }",
        "{ me { ...A } } fragment A on User { ...B } fragment B on User { ...A }",
        "{ ...A } fragment A on Query { me { id } ...B } fragment B on Query { ... on Query { ...A } }",
    ],
)
def test_a_cycle_of_fragments_is_named(ask: Ask, document: str) -> None:
    assert refused(ask(document), "Cannot spread fragment")


@pytest.mark.parametrize(
    "document",
    [
        deep(400),
        deep(1_500),
        "{" * 4_999,
        nest("", "me", "id " * 4_990),
        nest("", "me", " ".join(f"a{number}: id" for number in range(1_600))),
        nest("", "me { id } " * 1_200),
        flat_fragments(500),
        nested_fragments(190, "...F% ...F% ...F%"),
        nested_fragments(700),
        nest("", f"apiTokens(where: {'{not: ' * 1_200}{{}}{'}' * 1_200})", "totalCount"),
        nest("", f"apiTokens(where: {{or: [{'{} ' * 2_400}]}})", "totalCount"),
        nest("", f"apiTokens(where: {{idIn: [{'1 ' * 4_900}]}})", "totalCount"),
    ],
    ids=lambda document: document[:40],
)
def test_a_bomb_is_refused_before_it_goes_off(ask: Ask, document: str) -> None:
    started = time.process_time()

    assert ask(document).code == "BAD_REQUEST"

    assert time.process_time() - started < SECONDS


# --- what must pass ----------------------------------------------------------------------------------


def test_the_introspection_of_graphiql_passes(ask: Ask) -> None:
    document = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )

    found = ask(document).data["__schema"]

    assert {"APIToken", "PersonalAccessToken"} <= {one["name"] for one in found["types"]}


@pytest.mark.parametrize("kind", ["APIToken", "PersonalAccessToken"])
def test_a_full_page_of_tokens_with_all_they_have_passes(ask: Ask, kind: str) -> None:
    generated = schema._schema.type_map[kind]
    assert isinstance(generated, GraphQLObjectType)
    leaves = [name for name, field in generated.fields.items() if is_leaf_type(named(field.type))]
    root = f"{kind[0].lower()}{kind[1:]}s" if kind.startswith("P") else "apiTokens"
    everything = f"{' '.join(leaves)} owner {{ id }} recentIPAddresses {{ address count }}"

    assert ask(nest("", f"{root}(first: 100)", "totalCount edges", "node", everything)).data
