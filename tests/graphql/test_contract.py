"""Our schema beside the contract's, name by name and type by type: tokens, people, organizations.

contract.json holds the contract's facts about these types: fields, predicates, inputs and root fields, but no
edges to types that are not among them. A difference that is not in DELIBERATE fails, and so does an entry
there that is no difference any more.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from graphql import parse, print_ast

from config.graphql import registry
from config.graphql.naming import camel
from config.schema import schema
from organizations import services as organizations
from organizations.invitations import invite
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
    r"Organization(WhereInput)?\.(hasT|t)okenPolicy(With)?": "more: what an organization demands of tokens",
    r"((mutation\.)?[rR]otate|Rotate)(APIToken|PersonalAccessToken)\w*(\W.*)?|\w+RotatePayload(\.\w+)?": (
        "more: the contract knows no rotation"
    ),
    r"\w+TokenWhereInput\.(hint|usageCount)\w*": (
        "more: every column has its predicates; abilities and recentIPAddresses are computed, and have none"
    ),
    r"UpdatePersonalAccessTokenInput\.(revokedReason|clearRevokedReason)": (
        "more: both kinds are revoked with a reason; clearing it is refused, because revoking is for good"
    ),
    r"(PersonalAccessToken|Organization|User)BulkCreatePayload(\.\w+)?": (
        "less: no field of the contract answers it, so that no client can name it"
    ),
    # --- more than the contract
    r"Group\.scopes|(Create|Update)GroupInput\.(s|appendS|clearS)copes|GroupWhereInput\.scopesHas": (
        "more: a group adds scopes to its members"
    ),
    r"Organization\.parentID|UserSetting\.defaultOrgID": "more: a foreign key shows its id",
    r"(OrganizationWhereInput\.(name|parentID)|UserSettingWhereInput\.defaultOrgID)\w*": (
        "more: every column has its predicates"
    ),
    r"UpdateOrganizationInput\.name": "more: an organization can be renamed",
    r"UpdateOrganizationSettingInput\.(append|clear)SSOExemptDomains": "more: as every list",
    r"UpdateUserInput\.clearSetting": "more: as for every relation; refused with settingID",
    r"(Group|Organization|OrganizationSetting|UserSetting)\.updatedByImpersonator": (
        "more: what is searched by can be shown; null"
    ),
    r"(Org|Group)MembershipWhereInput\.has(Organization|Group|User|Events)(With)?": (
        "more: every relation can be searched by; of these the contract has OrgMembership.hasUserWith"
    ),
    r"OrgMembershipWhereInput\.additionalRolesHas": "more: as every list",
    r"mutation\.(resendInvite|transferOrganizationOwnership)(\(\w+\))?": "more: what the console does",
    r"(OrgMembers|GroupMembers)Input(\.\w+)?": "more: named by the contract, and not described",
    r"OrganizationName(\.\w+)?": "more: what viewer tells of an organization",
    # --- less than the contract
    r"Group\.setting": "less: no GroupSetting, which the contract does not describe",
    r"(OrgMembership|Invite)Role\.SUPER_ADMIN": "less: operators of the platform hold no membership",
    r"mutation\.(create|createBulk|createBulkCSV|delete|deleteBulk)(Organization|User)Setting(\(\w+\))?": (
        "less: settings are made with their organization or person, and end with them"
    ),
    r"(Organization|User)Setting(Create|Delete|BulkCreate|BulkDelete)Payload(\.\w+)?": "less: likewise",
    r"Create(Organization|User)SettingInput(\.\w+)?": "less: likewise",
    r"mutation\.createUser(\(\w+\))?|CreateUserInput(\.\w+)?|UserCreatePayload(\.\w+)?": (
        "less: an account is made by accepting an invitation, or by an operator"
    ),
    r"mutation\.deleteUser(\(\w+\))?|UserDeletePayload(\.\w+)?": (
        "less: a person is deactivated by an operator, and by no token: the audit trail keeps its subject"
    ),
    r"mutation\.\w+\((avatarFile|avatarFileMetadata)\)": "less: no files yet",
    r"(User|Group|Organization)WhereInput\.avatar(LocalFileID|RemoteURL|UpdatedAt)\w*": "less: no files yet",
    r"(User|Group)WhereInput\.(scim|oscal)[A-Z]\w*": "less: neither SCIM nor OSCAL",
    r"UserWhereInput\.(sub|authProvider|lastLoginProvider)[A-Z]?\w*|UserAuthProvider(\.\w+)?": (
        "less: people log in with a password; no identity provider names them"
    ),
    r"UserSettingWhereInput\.delegate(UserID|StartAt|EndAt)\w*": "less: nobody acts for another",
    r"OrganizationWhereInput\.parentOrganizationID\w*": "less: parentID here, as in CreateOrganizationInput",
    r"OrganizationWhereInput\.slugName\w*": "less: organizations have no page under a name of their own",
    r"OrganizationWhereInput\.has\w+(Creators|Manager)(With)?": (
        "less: groups hold scopes; none of them is named in the organization for one kind of object"
    ),
    r"OrganizationSettingWhereInput\.(billing|payment|tax)[A-Z]\w*": "less: no billing",
    r"OrganizationSettingWhereInput\.(saml|identityProvider(AuthTested|EntityID|MetadataEndpoint))\w*": (
        "less: OpenID Connect alone"
    ),
    r"OrganizationSettingWhereInput\.(\w*[jJ]it[A-Z]|allowMatchingDomainsAutojoin)\w*": (
        "less: whoever joins was invited"
    ),
    r"OrganizationSettingWhereInput\.(geoLocation|allowSupportAccess|complianceWebhookToken|domains"
    r"|pendingDeletionAt)\w*|OrganizationSettingRegion(\.\w+)?": (
        "less: columns that the contract searches by and shows nowhere"
    ),
    # --- other than the contract
    r"User\.setting": "other: nullable, because one sees one's own settings alone",
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
ABOUT = re.compile(
    r"((query|mutation)\.)?\w*(?i:APIToken|PersonalAccessToken|User|Organization|OrgMember|Group|Invite)"
)
"""A fact of a type, or of a root field, that is named after what the contract speaks of."""


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
    """All of the types the contract speaks of, its root fields, and all else that is named after them."""
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
    if kind == "other":
        assert all(theirs == f"{ours}!" for theirs, ours in pairs)  # may be null, and is else the same
    else:
        assert all(pair[kind == "less"] is None for pair in pairs)


def test_a_client_of_the_contract_need_not_send_what_only_we_know() -> None:
    known, found = theirs(), ours()
    inputs = {fact for fact, kind in known.items() if kind == "input"}
    asked = [fact for fact in found if fact.partition("(")[0] in known or fact.partition(".")[0] in inputs]

    assert [fact for fact in asked if fact not in known and found[fact].endswith("!")] == []


# --- what the contract's inputs have and no service takes ---------------------------------------------

VALUES = {"ID": "x", "list[ID]": ["x"], "bool": True, "str": "x", "int": 1, "Time": "2090-01-01T00:00:00Z"}
REFUSED = [
    (name, key.name, VALUES.get(key.kind) or next(iter(vars(registry)[key.kind].__members__)))
    for name, kind in vars(registry).items()
    if name.endswith("Input") and "Token" not in name
    for key in getattr(kind, "keys", {}).values()
    if key.name in kind.refused
]
REQUIRED = {
    "CreateOrganizationInput": {"name": "x"},
    "CreateOrgMembershipInput": {"organizationID": "x", "userID": "x"},
    "CreateGroupInput": {"name": "x"},
    "CreateGroupMembershipInput": {"groupID": "x", "userID": "x"},
    "CreateInviteInput": {"recipient": "x"},
}


@pytest.mark.parametrize(("name", "key", "value"), REFUSED, ids=lambda value: str(value))
def test_a_key_that_no_service_takes_is_refused_by_its_name(
    world: World, query: Query, name: str, key: str, value: Any
) -> None:
    kind = name.removeprefix("Create").removeprefix("Update").removesuffix("Input")
    group = organizations.create_group(SETUP, organization_id=world.acme.pk, name="group")
    rows: dict[str, Any] = {
        "Organization": world.acme,
        "OrganizationSetting": world.acme.setting,
        "OrgMembership": world.acme.members.get(user=world.owner),
        "Group": group,
        "GroupMembership": organizations.add_to_group(SETUP, group, world.owner.pk),
        "Invite": invite(SETUP, organization_id=world.acme.pk, recipient="new@example.net"),
        "User": world.owner,
        "UserSetting": world.owner.setting,  # type: ignore[attr-defined]
    }
    verb = "create" if name.startswith("Create") else "update"
    sent, variables = "input: $input", {"input": {**REQUIRED.get(name, {}), camel(key): value}}
    if verb == "update":
        sent += f', id: "{rows[kind].pk}"'

    answer = query(
        f"mutation($input: {name}!) {{ {verb}{kind}({sent}) {{ __typename }} }}",
        variables,
        token=make_personal_token(world.owner).token,
    )

    assert answer.code == "VALIDATION_ERROR"
    assert list(answer.error["extensions"]["fields"]) == [camel(key)]


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
