"""What there is to change in one organization, and a call of a mutation as a client sends it."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from graphql import GraphQLInputObjectType, GraphQLObjectType, get_named_type, is_leaf_type

from accounts.models import User
from audit.models import Event
from config.schema import schema
from organizations import invitations, services
from organizations.models import Organization
from tests import traces
from tests.conftest import Answer
from tests.factories import SETUP, UserFactory, join, make_api_token, make_organization, make_personal_token

ALLOWED, LEFT = "ALLOWED", "LEFT"
"""LEFT: of many rows, those that are not the caller's to change are named, and the call is no error."""

ROOT = schema._schema.mutation_type
assert ROOT is not None
MUTATIONS = ROOT.fields


class Tenancy(dict[str, str]):
    """Name of a thing -> its id. Of what is changed in bulk there is `thing` and `another thing`."""

    def both(self, thing: str) -> list[str]:
        return [self[thing], self[f"another {thing}"]]

    def name(self, key: str) -> str:
        return next(name for name, one in self.items() if one == key)


def tenancy(organization: Organization, owner: User, *colleagues: User) -> Tenancy:
    """Things of an organization and of its owner. A stranger is somebody these people know from elsewhere."""
    elsewhere = make_organization(f"friends of {organization.name}", UserFactory())
    for one in (owner, *colleagues):
        join(one, elsewhere)
    group, another_group = (
        services.create_group(SETUP, organization_id=organization.pk, name=name)
        for name in ("reviewers", "readers")
    )
    things: dict[str, Any] = {
        "organization": organization,
        "setting": organization.setting,
        "self": owner,
        "own setting": owner.setting,
        "personal token": make_personal_token(owner),
        "group": group,
        "another group": another_group,
    }
    for prefix in ("", "another "):
        clerk = things[f"{prefix}member"] = join(UserFactory(), organization)
        things[f"{prefix}membership"] = organization.members.get(user=clerk)
        things[f"{prefix}place"] = services.add_to_group(SETUP, group, clerk.pk)
        things[f"{prefix}stranger"] = join(UserFactory(), elsewhere)
        things[f"{prefix}api token"] = make_api_token(organization)
        things[f"{prefix}invite"] = invitations.invite(
            SETUP, organization_id=organization.pk, recipient=f"{prefix.strip()}new@example.net"
        )
    return Tenancy({name: str(one.pk) for name, one in things.items()})


def call(name: str, given: dict[str, Any], headers: dict[str, str]) -> Answer:
    """A mutation with these arguments; where it takes a file, they are sent as the rows of one."""
    if is_file(name):
        return send(name, table_of(given), headers)
    body = json.dumps({"query": document(name), "variables": given})
    return _answer(Client().post("/query", body, content_type="application/json", headers=headers))


def send(name: str, content: bytes, headers: dict[str, str]) -> Answer:
    """A mutation with a file."""
    parts = {
        "operations": json.dumps({"query": document(name), "variables": {"input": None}}),
        "map": '{"0": ["variables.input"]}',
        "0": SimpleUploadedFile("rows.csv", content, "text/csv"),
    }
    return _answer(Client().post("/query", parts, headers=headers))


def _answer(response: Any) -> Answer:
    return Answer(response.status_code, response.json(), dict(response.headers))


def is_file(name: str) -> bool:
    return "CSV" in name


def table_of(given: dict[str, Any]) -> bytes:
    """What the same mutation takes as a list: inputs, or ids and one input for all of them."""
    rows = [{"id": key, **given["input"]} for key in given["ids"]] if "ids" in given else given["input"]
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0])
    table.writeheader()
    for row in rows:
        table.writerow({key: json.dumps(one) if isinstance(one, list) else one for key, one in row.items()})
    return text.getvalue().encode()


def outcome(answer: Answer) -> str:
    """ALLOWED, LEFT or the code of the refusal, which comes without data."""
    if answer.code is not None:
        assert answer.body.get("data") is None
        return answer.code
    (payload,) = answer.data.values()
    return LEFT if payload.get("error") else ALLOWED


def document(name: str) -> str:
    """The mutation with all its arguments as variables, and all of its payload."""
    field = MUTATIONS[name]
    declared = ", ".join(f"${key}: {argument.type}" for key, argument in field.args.items())
    passed = ", ".join(f"{key}: ${key}" for key in field.args)
    payload = get_named_type(field.type)
    assert isinstance(payload, GraphQLObjectType)
    selected = " ".join(
        key if is_leaf_type(get_named_type(one.type)) else f"{key} {{ id }}"
        for key, one in payload.fields.items()
    )
    return f"mutation({declared}) {{ {name}({passed}) {{ {selected} }} }}"


Place = tuple[str, ...]
"""Where a value stands in the arguments; a list on the way stands for each of its items."""


def keys_of(name: str) -> dict[Place, str]:
    """Each place in a mutation's arguments where a value can stand -> its type, lists and nulls aside.

    A file has the places of the list whose rows it holds.
    """
    return dict(_keys(MUTATIONS[name.replace("CSV", "")].args))


def _keys(fields: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    for key, one in fields.items():
        kind = get_named_type(one.type)
        if isinstance(kind, GraphQLInputObjectType):
            yield from (((key, *place), below) for place, below in _keys(kind.fields))
        else:
            yield (key,), kind.name


def put(given: Any, place: Place, value: Any) -> Any:
    """The arguments with another value in one place."""
    if not place:
        return value
    if isinstance(given, list):
        return [put(one, place, value) for one in given]
    key, *rest = place
    return given | {key: put(given.get(key), tuple(rest), value)}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def session(user: User) -> dict[str, str]:
    browser = Client()
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return {"cookie": browser.cookies.output(header="", attrs=[]).strip()}


def stored() -> list[str]:
    """Every row there is, but for the trail, the sessions and what Django keeps of itself."""
    return sorted(traces.rows("organizations", "accounts", "tokens"))


def trail(after: int) -> list[str]:
    """The events since there were so many."""
    return list(Event.objects.order_by("id").values_list("action", flat=True)[after:])


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside leaves nothing, so that the next one finds the same world."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
