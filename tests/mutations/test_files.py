"""Each mutation that takes a file refuses one that is no table of its rows, and reads one of any editor."""

import csv
import io

import pytest

from audit.models import Event
from tests.conftest import World
from tests.factories import make_personal_token
from tests.mutations.policy import ALLOWED, LEFT, NOT_FOUND, POLICY, VALIDATION_ERROR
from tests.mutations.tenancy import (
    MUTATIONS,
    Tenancy,
    bearer,
    is_file,
    outcome,
    send,
    stored,
    table_of,
    tenancy,
    trail,
    undone,
)

FILES = [name for name in MUTATIONS if is_file(name)]
FORMULA = "=HYPERLINK(1;A1)"


@pytest.fixture
def acme(world: World) -> Tenancy:
    return tenancy(world.acme, world.owner)


@pytest.fixture
def headers(world: World) -> dict[str, str]:
    return bearer(make_personal_token(world.owner).token)


def spoilt(content: bytes) -> dict[str, bytes]:
    """What may have become of a good file."""
    header, first, *_ = content.split(b"\r\n")
    return {
        "nothing": b"",
        "no header": first,
        "another header": content.replace(header, b"colour," + header),
        "another separator": content.replace(b",", b";"),
        "half of its columns": content.replace(header, header.partition(b",")[0]),
        "a NUL": content + b"\0",
        "another encoding": content.decode().encode("utf-16"),
        "an open quote": content + b'"',
        "100,000 rows": b"\n".join([header, *[b"x"] * 100_000]),
        "a megabyte": content + b" " * 1_048_576,
    }


@pytest.mark.parametrize("name", FILES)
def test_a_spoilt_file_is_refused_and_nothing_is_written(
    acme: Tenancy, headers: dict[str, str], name: str
) -> None:
    before, events = stored(), Event.objects.count()

    files = spoilt(table_of(POLICY[name].given(acme)))
    came = {what: outcome(send(name, content, headers)) for what, content in files.items()}

    assert came == dict.fromkeys(files, VALIDATION_ERROR)
    assert (stored(), trail(events)) == (before, [])


@pytest.mark.parametrize("name", FILES)
def test_a_byte_order_mark_and_other_ends_of_lines_are_no_part_of_a_file(
    acme: Tenancy, headers: dict[str, str], name: str
) -> None:
    content = table_of(POLICY[name].given(acme))

    for written in (b"\xef\xbb\xbf" + content, content.replace(b"\r\n", b"\n"), content.rstrip()):
        with undone():
            assert outcome(send(name, written, headers)) == ALLOWED


@pytest.mark.parametrize("name", FILES)
def test_a_formula_is_kept_as_the_text_it_is_or_refused(
    acme: Tenancy, headers: dict[str, str], name: str
) -> None:
    """It is neutralised where a file is written, not where one is read."""
    first, *rows = csv.reader(io.StringIO(table_of(POLICY[name].given(acme)).decode()))

    for column, _ in enumerate(first):
        text = io.StringIO()
        spoiled = [FORMULA if place == column else cell for place, cell in enumerate(rows[0])]
        csv.writer(text).writerows([first, spoiled])
        with undone():
            came = outcome(send(name, text.getvalue().encode(), headers))
            assert came in (ALLOWED, LEFT, NOT_FOUND, VALIDATION_ERROR)
            assert any(FORMULA in row for row in stored()) == (came == ALLOWED)
