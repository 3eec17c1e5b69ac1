"""Tokens from a CSV file, sent by the GraphQL multipart convention: what it may hold, how faults are told."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.actions import Action
from audit.models import Event
from organizations.models import Role
from tests.conftest import Answer, Query, World
from tests.factories import SETUP, join, make_api_token, make_personal_token
from tokens import secret, services
from tokens.models import APIToken

CREATE = "mutation($input: Upload!) { createBulkCSVAPIToken(input: $input) { apiTokens { id name token } } }"
UPDATE = """mutation($input: Upload!) {
    updateBulkCSVAPIToken(input: $input) { apiTokens { id name } updatedIDs notUpdatedIDs error }
}"""
INCOMPLETE = "BULK_ACTION_INCOMPLETELY_APPLIED"

Send = Callable[..., Answer]


@pytest.fixture
def owner(world: World) -> str:
    """The value of a personal token of acme's owner."""
    return make_personal_token(world.owner, name="asking").token


@pytest.fixture
def post(client: Client, owner: str) -> Send:
    """post({"operations": ..., "map": ..., "0": file}): the parts as they are."""

    def sent(parts: dict[str, Any], token: str | None = owner, sender: Client = client) -> Answer:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        response = sender.post("/query", parts, headers=headers)
        return Answer(response.status_code, response.json(), dict(response.headers))

    return sent


@pytest.fixture
def send(post: Send) -> Send:
    """send(content, document=CREATE): one file, in the place of $input."""

    def sent(content: str | bytes, document: str = CREATE, **options: Any) -> Answer:
        return post(parts(content, document), **options)

    return sent


def parts(content: str | bytes, document: str = CREATE) -> dict[str, Any]:
    raw = content.encode() if isinstance(content, str) else content
    return {
        "operations": json.dumps({"query": document, "variables": {"input": None}}),
        "map": json.dumps({"0": ["variables.input"]}),
        "0": SimpleUploadedFile("tokens.csv", raw, "text/csv"),
    }


def lines(*rows: str) -> str:
    return "\r\n".join([*rows, ""])


def names() -> list[str]:
    return list(APIToken.objects.values_list("name", flat=True))


def refused(answer: Answer) -> str:
    """The message about the file as a whole; nothing was written."""
    assert (answer.status, answer.code, answer.body["data"]) == (200, "VALIDATION_ERROR", None)
    assert not APIToken.objects.exists()
    assert "rows" not in answer.error["extensions"]
    return answer.error["extensions"]["fields"]["input"][0]


def faults(answer: Answer) -> dict[int, dict[str, list[str]]]:
    """What is wrong, by row and field; nothing was written."""
    assert (answer.status, answer.code, answer.body["data"]) == (200, "VALIDATION_ERROR", None)
    return {one["row"]: one["fields"] for one in answer.error["extensions"]["rows"]}


# --- a good file -------------------------------------------------------------------------------------


def test_a_file_creates_a_token_per_row_and_shows_each_value_once(
    world: World, send: Send, query: Query
) -> None:
    content = lines(
        "name,description,scopes,tags,expiresAt,isActive,ownerID",
        "first,,read:tasks; write:notes,,2031-01-01T00:00:00Z,,",
        'second,"two, or\nmore lines","[""read:tasks""]","[""a;b"", ""c""]",2031-01-01T00:00:00+02:00,TRUE,'
        f"{world.acme.pk}",
        "third,,,,,,",
    )

    made = send(content).data["createBulkCSVAPIToken"]["apiTokens"]

    first, second, third = (APIToken.objects.get(pk=one["id"]) for one in made)
    assert [one["name"] for one in made] == ["first", "second", "third"]
    assert (first.scopes, first.description, first.tags) == (["read:tasks", "write:notes"], None, [])
    assert (second.scopes, second.description, second.tags) == (
        ["read:tasks"],
        "two, or\nmore lines",
        ["a;b", "c"],
    )
    assert [one.expires_at and one.expires_at.isoformat() for one in (first, second, third)] == [
        "2031-01-01T00:00:00+00:00",
        "2030-12-31T22:00:00+00:00",
        None,
    ]
    assert {one.owner_id for one in (first, second, third)} == {world.acme.pk}
    for one in made:
        assert query("{ viewer { id } }", token=one["token"]).data["viewer"]["id"] == one["id"]


def test_each_row_has_its_event(send: Send) -> None:
    count = Event.objects.count()

    send(lines("name", "a", "b"))

    assert [event.action for event in Event.objects.all()[count:]] == [Action.API_TOKEN_CREATED] * 2


def test_a_thousand_rows_take_as_many_queries_as_a_list(send: Send) -> None:
    with CaptureQueriesContext(connection) as captured:
        send(lines("name", *(f"machine {number}" for number in range(100))))

    assert len(captured) <= 12


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["no mark", "byte order mark"])
@pytest.mark.parametrize("end", ["", "\n\n"], ids=["cut", "blank lines at the end"])
def test_files_of_every_editor_are_read(send: Send, newline: str, mark: str, end: str) -> None:
    text = mark + 'name,"description"\n"ä, ""quoted""",b\n\n c ,d' + end

    answer = send(text.replace("\n", newline))

    assert [one["name"] for one in answer.data["createBulkCSVAPIToken"]["apiTokens"]] == [
        'ä, "quoted"',
        " c ",
    ]


def test_columns_come_in_any_order_and_around_spaces(send: Send) -> None:
    send(lines("scopes , name", "read,x"))

    assert APIToken.objects.get().scopes == ["read"]


def test_formulas_stay_the_text_they_are(send: Send) -> None:
    formulas = ["=cmd()", "+1+1", "-2", "@SUM(A1)", '=HYPERLINK("http://x")']

    send(lines("name", *('"' + one.replace('"', '""') + '"' for one in formulas)))

    assert names() == formulas


def test_a_header_alone_creates_nothing(send: Send) -> None:
    assert send(lines("name,scopes")).data == {"createBulkCSVAPIToken": {"apiTokens": []}}


def test_one_file_can_be_read_by_two_fields(world: World, post: Send) -> None:
    document = """mutation($a: Upload!) {
        first: createBulkCSVAPIToken(input: $a) { apiTokens { name } }
        second: createBulkCSVAPIToken(input: $a) { apiTokens { name } }
    }"""

    answer = post(
        {
            "operations": json.dumps({"query": document, "variables": {"a": None}}),
            "map": json.dumps({"f": ["variables.a"]}),
            "f": SimpleUploadedFile("x", b"name\nx"),
        }
    )

    assert answer.data["first"] == answer.data["second"] == {"apiTokens": [{"name": "x"}]}


# --- what is no such file ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "The first row must name the columns"),
        ("\n\nname\nx", "The first row must name the columns"),
        (",,\nx,,", "The first row must name the columns"),
        ("title\nx", "Unknown column 'title'"),
        ("Name\nx", "Unknown column 'Name'"),
        ("name;scopes\nx;read", "Unknown column 'name;scopes'"),
        ("name,\nx,", "Unknown column ''"),
        ("name,id\nx,y", "Unknown column 'id'"),
        ("name,digest\nx,y", "Unknown column 'digest'"),
        ("name,owner_id\nx,y", "Unknown column 'owner_id'"),
        ("name,keys\nx,y", "Unknown column 'keys'"),
        ("name,scopes,name\nx,read,y", "The column name is there twice"),
        ("scopes,tags\nread,x", "The column name is missing"),
        ("\ufeff\ufeffname\nx", "Unknown column '\\ufeffname'"),
        ('name\n"x', "Line 2 is not CSV"),
        ('name\nx\n"a"b', "Line 3 is not CSV"),
        ("name\nx\0", "holds a NUL"),
        (b"name\n\xe4", "not UTF-8 at byte 5"),
        ("name\nx".encode("utf-16"), "not UTF-8 at byte 0"),
        (b"\x1f\x8b\x08" + b"\0" * 50, "not UTF-8 at byte 1"),
        (b"PK\x03\x04" + b"\0" * 50, "holds a NUL"),
        ("name\n" + "x" * 200_000, "field larger than field limit"),
        ("x" * 200_000, "field larger than field limit"),
        ("," * 900_000, "The first row must name the columns"),
        ("name," * 200_000, "The column name is there twice"),
        ("name\n" + "x\n" * 100_000, "The file has more than 1000 rows"),
        ("name\n" + "x\n" * 1_001, "The file has more than 1000 rows"),
        ("name\n" + "x" * 1_048_572, "1048577 bytes; 1048576 is the most"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_no_table_of_tokens_is_refused_as_a_whole(
    send: Send, content: str | bytes, told: str
) -> None:
    count = Event.objects.count()

    message = refused(send(content))

    assert told in message
    assert len(message) < 300
    assert Event.objects.count() == count


def test_an_unknown_column_is_told_with_those_there_are(send: Send) -> None:
    message = refused(send("colour\nred"))

    assert (
        "The columns are: allowedAddresses, description, expiresAt, isActive, lastUsedAt, name, notBefore"
        in message
    )


def test_a_thousand_rows_and_any_number_of_blank_ones_are_not_too_many(send: Send) -> None:
    answer = send("name\n" + "x\n\n ,\n".replace(",", "") * 1_000)

    assert len(answer.data["createBulkCSVAPIToken"]["apiTokens"]) == 1_000


# --- rows with something wrong -----------------------------------------------------------------------


def test_every_bad_row_is_told_by_the_number_a_spreadsheet_shows_and_nothing_is_written(send: Send) -> None:
    count = Event.objects.count()
    answer = send(
        lines(
            "name,scopes,expiresAt,isActive,lastUsedAt,description",
            "sound,read,,,,",
            ",read,,,,",
            "",
            'x,raed,,,,"a cell of\ntwo lines"',
            "x,,2031-01-01T00:00:00,,,",
            "x,,2031-01-01,,,",
            "x,,2031-01-01 00:00:00Z,,,",
            "x,,yesterday,,,",
            "x,,2020-01-01T00:00:00Z,,,",
            "x,,,yes,,",
            "x,,,false,,",
            "x,,,,2020-01-01T00:00:00Z,",
            "x,[1],,,,",
            'x,"[""read""",,,,',
            "x,read",
            "x,read,,,,,,",
            "x,*,nonsense,no,,",
            "sound too,,,true,,",
        )
    )

    told = {row: sorted(fields) for row, fields in faults(answer).items()}
    assert told == {
        3: ["name"],
        5: ["scopes"],
        6: ["expiresAt"],
        7: ["expiresAt"],
        8: ["expiresAt"],
        9: ["expiresAt"],
        10: ["expiresAt"],
        11: ["isActive"],
        12: ["isActive"],
        13: ["lastUsedAt"],
        14: ["scopes"],
        15: ["scopes"],
        16: ["input"],
        17: ["input"],
        18: ["expiresAt", "isActive"],
    }
    assert faults(answer)[16] == {"input": ["The row has 2 cells where the header has 6."]}
    assert faults(answer)[6] == {
        "expiresAt": ["Give a time as RFC 3339 with an offset, such as 2030-12-31T23:59:59Z."]
    }
    assert (names(), Event.objects.count()) == ([], count)


@pytest.mark.parametrize(
    "cell",
    [
        "[" * 50_000,
        "[" * 50_000 + "]" * 50_000,
        '["\\u0000"]',
        '["\\ud800"]',
        "[NaN]",
        "[null]",
        "[[]]",
        "[",
        '["a"] b',
    ],
    ids=lambda cell: cell[:12],
)
def test_what_json_can_smuggle_into_a_list_is_refused_by_row(send: Send, cell: str) -> None:
    quoted = cell.replace('"', '""')

    answer = send(lines("name,tags", f'x,"{quoted}"'))

    assert faults(answer) == {
        2: {"tags": ["Give a JSON array of strings, or values separated by semicolons."]}
    }
    assert names() == []


def test_a_thousand_bad_rows_are_all_told(send: Send) -> None:
    answer = send(lines("name,isActive", *(["x,perhaps"] * 1_000)))

    assert list(faults(answer)) == list(range(2, 1_002))
    assert len(answer.error["message"]) < 300


def test_a_row_of_an_organization_that_is_not_ones_own_refuses_all(world: World, send: Send) -> None:
    count = Event.objects.count()

    for foreign in (str(world.globex.pk), str(uuid4()), "nonsense"):
        answer = send(lines("name,ownerID", "a,", f"b,{foreign}"))
        assert (answer.code, answer.error["message"]) == ("NOT_FOUND", "organization not found")

    assert (names(), Event.objects.count()) == ([], count)


def test_a_row_with_a_scope_one_lacks_refuses_all_and_leaves_one_denied_event(
    world: World, send: Send
) -> None:
    asking = make_api_token(world.acme, "admin:tokens", name="asking").token
    count = Event.objects.count()

    answer = send(lines("name,scopes", "a,read:tokens", "b,read:tasks"), token=asking)

    assert answer.code == "INSUFFICIENT_SCOPES"
    assert names() == ["asking"]
    assert [event.action for event in Event.objects.all()[count:]] == [Action.ACCESS_DENIED]


# --- updating ----------------------------------------------------------------------------------------


@pytest.fixture
def three(world: World) -> list[APIToken]:
    return [make_api_token(world.acme, "read:tasks", name=name) for name in "abc"]


def changed(answer: Answer) -> tuple[list[str], list[str], str | None]:
    payload = answer.data["updateBulkCSVAPIToken"]
    assert [one["id"] for one in payload["apiTokens"]] == payload["updatedIDs"]
    return payload["updatedIDs"], payload["notUpdatedIDs"], payload["error"]


def test_a_file_changes_each_token_in_its_own_way(send: Send, three: list[APIToken]) -> None:
    first, second, third = three
    content = lines(
        "name,id,appendScopes,isActive,revokedReason",
        f"renamed,{first.pk},,,",
        f",{second.pk},write:notes;write:tasks,,",
        f",{third.pk},,false,leaked",
    )

    answer = send(content, UPDATE)

    assert changed(answer) == ([str(one.pk) for one in three], [], None)
    for one in three:
        one.refresh_from_db()
    assert [one.name for one in three] == ["renamed", "b", "c"]
    assert second.scopes == ["read:tasks", "write:notes", "write:tasks"]
    assert (third.is_active, third.revoked_reason) == (False, "leaked")


def test_ids_that_are_not_there_are_left_and_named(world: World, send: Send, three: list[APIToken]) -> None:
    foreign, deleted = make_api_token(world.globex), make_api_token(world.acme)
    services.delete_token(SETUP, deleted)
    left = [str(foreign.pk), str(deleted.pk), str(uuid4()), "nonsense"]

    answer = send(lines("id,name", *(f"{key},x" for key in [*left, three[0].pk])), UPDATE)

    assert changed(answer) == ([str(three[0].pk)], left, INCOMPLETE)


def test_an_update_that_is_wrong_in_one_row_changes_nothing(send: Send, three: list[APIToken]) -> None:
    services.revoke(SETUP, three[2], reason=None)
    count = Event.objects.count()
    first, second, third = (str(one.pk) for one in three)

    by_cell = send(lines("id,name,isActive", f"{first},x,", f"{second},,perhaps", ",y,", "z,"), UPDATE)
    by_token = send(
        lines("id,name,scopes", f"{first},x,", f"{second},,raed", f"{third},,write:tasks"), UPDATE
    )
    twice = send(lines("id,name", f"{first},x", f"{first.upper()},y"), UPDATE)
    both = send(lines("id,scopes,clearScopes", f"{first},read,true"), UPDATE)

    assert {row: list(fields) for row, fields in faults(by_cell).items()} == {
        3: ["isActive"],
        4: ["id"],
        5: ["input"],
    }
    assert {row: list(fields) for row, fields in faults(by_token).items()} == {3: ["scopes"], 4: ["input"]}
    assert faults(twice) == {3: {"id": ["An earlier row has the same id. Say in one row what is to change."]}}
    assert sorted(faults(both)[2]) == ["clearScopes", "scopes"]
    assert (names(), Event.objects.count()) == (["a", "b", "c"], count)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("name\nx", "The column id is missing"),
        ("id,ID\nx,y", "Unknown column 'ID'"),
        ("id,id\nx,y", "The column id is there twice"),
        ("id,digest\nx,y", "Unknown column 'digest'"),
    ],
)
def test_an_update_needs_a_column_of_ids(send: Send, content: str, told: str) -> None:
    assert told in refused(send(content, UPDATE))


def test_what_one_may_read_and_not_manage_is_left_and_its_refusal_recorded(
    world: World, send: Send, three: list[APIToken]
) -> None:
    join(world.owner, world.globex, Role.AUDITOR)
    foreign, token = make_api_token(world.globex), make_personal_token(world.owner).token
    count = Event.objects.count()

    answer = send(lines("id,name", f"{three[0].pk},x", f"{foreign.pk},y"), UPDATE, token=token)

    assert changed(answer) == ([str(three[0].pk)], [str(foreign.pk)], INCOMPLETE)
    assert [event.action for event in Event.objects.all()[count:]] == [
        Action.API_TOKEN_UPDATED,
        Action.ACCESS_DENIED,
    ]
    assert Event.objects.latest("id").organization_id == world.globex.pk


# --- who may send a file -----------------------------------------------------------------------------


def test_without_a_credential_a_file_is_401(send: Send) -> None:
    answer = send("name\nx", token=None)

    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")


def test_a_session_sends_no_files_whether_or_not_with_a_csrf_token(world: World, post: Send) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(world.owner, backend="django.contrib.auth.backends.ModelBackend")
    browser.get("/login/")

    plain = post(parts("name\nx"), token=None, sender=browser)
    with_csrf = {**parts("name\nx"), "csrfmiddlewaretoken": browser.cookies["csrftoken"].value}
    form = post(with_csrf, token=None, sender=browser)

    assert [(answer.status, answer.code) for answer in (plain, form)] == [(415, "BAD_REQUEST")] * 2
    assert "bearer token" in plain.body["error"]
    assert names() == []


def test_a_file_cannot_be_sent_as_json(query: Query, owner: str) -> None:
    for value in ("name\nx", {"name": "x"}, ["x"], 1):
        assert query(CREATE, {"input": value}, token=owner).code == "VALIDATION_ERROR"
    literal = 'mutation { createBulkCSVAPIToken(input: "name") { apiTokens { id } } }'
    assert query(literal, token=owner).code == "VALIDATION_ERROR"
    assert query(CREATE, {"input": None}, token=owner).status == 400


def test_a_token_in_a_file_is_refused_and_not_repeated(world: World, send: Send, post: Send) -> None:
    value = make_api_token(world.acme, name="leaked").token
    of_the_right_form = f"{secret.TokenKind.PERSONAL.prefix}{'x' * 46}"
    count = Event.objects.count()

    for content in (
        lines("name", value),
        lines("name,scopes", f"x,read;{value}"),
        lines(value),
        lines("name,description", f"x,as in curl -H 'Bearer {of_the_right_form}'"),
        b"name\n\xff" + value.encode(),
    ):
        answer = send(content)
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")
        assert "token in the body" in answer.body["error"]
        assert value not in json.dumps(answer.body)
    for part in ("operations", "map"):
        answer = post({**parts("name\nx"), part: json.dumps({"query": value, "0": [value]})})
        assert "token in the body" in answer.body["error"]
    assert (names(), Event.objects.count()) == (["leaked"], count)


# --- what is no upload -------------------------------------------------------------------------------

OPERATIONS = json.dumps({"query": CREATE, "variables": {"input": None}})
TWO = json.dumps({"query": CREATE, "variables": {"input": None, "more": None, "list": [None]}})


def file(content: bytes = b"name\nx") -> SimpleUploadedFile:
    return SimpleUploadedFile("tokens.csv", content)


MALFORMED: dict[str, Callable[[], dict[str, Any]]] = {
    "nothing": dict,
    "no operations": lambda: {"map": '{"0": ["variables.input"]}', "0": file()},
    "no map": lambda: {"operations": OPERATIONS, "0": file()},
    "operations as a file": lambda: {"operations": file(OPERATIONS.encode()), "map": "{}"},
    "operations no JSON": lambda: {"operations": "{", "map": '{"0": ["variables.input"]}', "0": file()},
    "operations a list": lambda: {
        "operations": f"[{OPERATIONS}]",
        "map": '{"0": ["0.variables.input"]}',
        "0": file(),
    },
    "operations without a query": lambda: {
        "operations": '{"variables": {"input": null}}',
        "map": '{"0": ["variables.input"]}',
        "0": file(),
    },
    "operations without variables": lambda: {
        "operations": json.dumps({"query": CREATE}),
        "map": '{"0": ["variables.input"]}',
        "0": file(),
    },
    "variables no object": lambda: {
        "operations": json.dumps({"query": CREATE, "variables": "input"}),
        "map": '{"0": ["variables.input"]}',
        "0": file(),
    },
    "nested deeply": lambda: {
        "operations": json.dumps({"query": CREATE, "variables": {"input": None}})[:-2]
        + ', "x": '
        + "[" * 900
        + "]" * 900
        + "}}",
        "map": '{"0": ["variables.nothing"]}',
        "0": file(),
    },
    "map names a place outside variables": lambda: {
        "operations": OPERATIONS[:-1] + ', "extensions": {"x": null}}',
        "map": '{"0": ["extensions.x"]}',
        "0": file(),
    },
    "map no JSON": lambda: {"operations": OPERATIONS, "map": "0", "0": file()},
    "map empty": lambda: {"operations": OPERATIONS, "map": "{}"},
    "map empty, and a file": lambda: {"operations": OPERATIONS, "map": "{}", "0": file()},
    "file missing": lambda: {"operations": OPERATIONS, "map": '{"0": ["variables.input"]}'},
    "file of another name": lambda: {
        "operations": OPERATIONS,
        "map": '{"0": ["variables.input"]}',
        "1": file(),
    },
    "file as a field": lambda: {
        "operations": OPERATIONS,
        "map": '{"0": ["variables.input"]}',
        "0": "name\nx",
    },
    "two files, one named": lambda: {
        "operations": OPERATIONS,
        "map": '{"0": ["variables.input"]}',
        "0": file(),
        "1": file(),
    },
    "two files of one name": lambda: {
        "operations": OPERATIONS,
        "map": '{"0": ["variables.input"]}',
        "0": [file(), file()],
    },
    "two files for one variable": lambda: {
        "operations": OPERATIONS,
        "map": '{"0": ["variables.input"], "1": ["variables.input"]}',
        "0": file(),
        "1": file(),
    },
    "a place twice": lambda: {
        "operations": OPERATIONS,
        "map": '{"0": ["variables.input", "variables.input"]}',
        "0": file(),
    },
    **{
        f"map says {place}": lambda place=place: {  # type: ignore[misc]
            "operations": TWO,
            "map": json.dumps({"0": place}),
            "0": file(),
        }
        for place in (
            [],
            {},
            None,
            1,
            "variables.input",
            [None],
            [1],
            [[]],
            [""],
            ["input"],
            ["variables"],
            ["variables."],
            ["variables.nothing"],
            ["variables.input.deeper"],
            ["variables.list"],
            ["variables.list.x"],
            ["variables.list.1"],
            ["variables.list.²"],
            ["variables.list." + "9" * 5_000],
            ["query"],
            ["operationName"],
            ["variables.__class__"],
        )
    },
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_upload_is_a_bad_request(post: Send, case: str) -> None:
    answer = post(MALFORMED[case]())

    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert answer.error["message"]
    assert names() == []


def test_a_request_without_files_can_be_sent_in_parts(world: World, post: Send) -> None:
    operations = json.dumps({"query": "{ viewer { kind } }"})

    answer = post({"operations": operations, "map": "{}"})

    assert answer.data == {"viewer": {"kind": "personal_access_token"}}


def test_a_file_can_go_to_a_place_in_a_list(world: World, post: Send) -> None:
    document = "mutation($files: [Upload!]!) { createBulkCSVAPIToken(input: $files) { apiTokens { id } } }"

    answer = post(
        {
            "operations": json.dumps({"query": document, "variables": {"files": [None]}}),
            "map": '{"0": ["variables.files.0"]}',
            "0": file(),
        }
    )

    assert "type '[Upload!]!' used in position expecting type 'Upload!'" in answer.error["message"]


RAW_BODIES: dict[str, tuple[str, bytes]] = {
    "no boundary": ("multipart/form-data", b"x"),
    "an empty boundary": ("multipart/form-data; boundary=", b"x"),
    "a boundary that never comes": ("multipart/form-data; boundary=y", b"--x\r\n\r\nx\r\n--x--"),
    "a boundary of no ASCII": ("multipart/form-data; boundary=\u00e4", b"x"),
    "no header": ("multipart/form-data; boundary=x", b"--x\r\n\r\nx\r\n--x--"),
    "cut short": ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="oper'),
    "another charset": (
        "multipart/form-data; boundary=x; charset=utf-7",
        b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n+2AA-\r\n--x--\r\n',
    ),
    "a charset that is no text": (
        "multipart/form-data; boundary=x; charset=zlib",
        b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{}\r\n--x--\r\n',
    ),
    "a charset in a name": (
        "multipart/form-data; boundary=x",
        b"--x\r\nContent-Disposition: form-data; name*=nonsense''%41\r\n\r\n{}\r\n--x--\r\n",
    ),
    "base64 that is none": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="operations"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n\xff\xff=\r\n--x--\r\n",
    ),
    "a file whose base64 is none": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="0"; filename="x"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\nabcde\r\n--x--\r\n",
    ),
    "a thousand and one fields": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 1_001 + b"--x--\r\n",
    ),
    "a hundred and one files": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\n\r\n' * 101 + b"--x--\r\n",
    ),
}


@pytest.mark.parametrize("case", RAW_BODIES)
def test_a_body_that_is_no_form_is_a_bad_request(client: Client, owner: str, case: str) -> None:
    content_type, body = RAW_BODIES[case]

    response = client.generic(
        "POST", "/query", body, content_type=content_type, headers={"authorization": f"Bearer {owner}"}
    )

    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


PIECES = st.sampled_from(
    [
        b"--x\r\n",
        b"--x--\r\n",
        b"\r\n",
        b'Content-Disposition: form-data; name="operations"\r\n',
        b'Content-Disposition: form-data; name="map"\r\n',
        b'Content-Disposition: form-data; name="0"; filename="a.csv"\r\n',
        b"Content-Transfer-Encoding: base64\r\n",
        OPERATIONS.encode(),
        b'{"0": ["variables.input"]}',
        b"name\nx\n",
        b"\xff\x00",
        b"; name*=\"utf-16''x",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.lists(PIECES | st.binary(max_size=20), max_size=14))
def test_no_body_at_all_is_a_failure_of_ours(client: Client, owner: str, body: list[bytes]) -> None:
    response = client.generic(
        "POST",
        "/query",
        b"".join(body),
        content_type="multipart/form-data; boundary=x",
        headers={"authorization": f"Bearer {owner}"},
    )

    assert response.status_code in (200, 400)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.lists(
        st.sampled_from(["name", "scopes", "tags", "expiresAt", "isActive", "ownerID"]), max_size=4
    ),
    cells=st.lists(
        st.lists(
            st.text(max_size=8)
            | st.sampled_from(
                ["read", "[", '["a"]', "2031-01-01T00:00:00Z", "true", '"', "\u202e", "9" * 400]
            ),
            max_size=5,
        ),
        max_size=3,
    ),
)
def test_no_cell_at_all_is_a_failure_of_ours(send: Send, header: list[str], cells: list[list[str]]) -> None:
    text = "\n".join([",".join(header), *(",".join(row) for row in cells)])

    answer = send(text.encode("utf-8", "surrogatepass"))

    assert answer.status == 200 or (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert answer.code in (None, "VALIDATION_ERROR", "NOT_FOUND", "BAD_REQUEST")


def test_an_upload_that_says_it_is_too_long_is_not_read(client: Client, owner: str) -> None:
    for declared in ("2097153", "9" * 400, "-1", "1e3", "x"):
        response = client.generic(
            "POST",
            "/query",
            b"--x--\r\n",
            content_type="multipart/form-data; boundary=x",
            headers={"authorization": f"Bearer {owner}"},
            CONTENT_LENGTH=declared,
        )
        assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (
            413,
            "BAD_REQUEST",
        )


def test_an_upload_in_chunks_is_told_to_say_its_length(client: Client, owner: str) -> None:
    response = client.generic(
        "POST",
        "/query",
        b"",
        content_type="multipart/form-data; boundary=x",
        headers={"authorization": f"Bearer {owner}", "transfer-encoding": "chunked"},
    )

    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (411, "BAD_REQUEST")


def test_a_file_of_three_megabytes_is_refused_before_it_is_read(send: Send) -> None:
    answer = send(b"name\n" + b"x" * 3_000_000)

    assert (answer.status, answer.code) == (413, "BAD_REQUEST")


def test_operations_may_be_no_longer_than_a_body_of_json(post: Send) -> None:
    answer = post({**parts("name\nx"), "operations": json.dumps({"query": CREATE + " " * 300_000})})

    assert (answer.status, answer.code) == (413, "BAD_REQUEST")
