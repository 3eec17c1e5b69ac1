"""--leaked: our tokens are found in any text, and nobody else's are hit."""

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.conftest import Run
from tests.conftest import World
from tests.factories import SETUP, make_api_token, make_personal_token
from tokens import leaks, secret, services
from tokens.models import APIToken
from tokens.secret import TokenKind

WHY = ("--reason", "leaked")


def typo(value: str) -> str:
    return value[:20] + ("a" if value[20] != "a" else "b") + value[21:]


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    return tmp_path / "dump"


def test_planted_tokens_are_revoked_near_misses_and_foreign_ones_are_not(
    run: Run, world: World, dump: Path
) -> None:
    ours, mine = make_api_token(world.acme), make_personal_token(world.owner)
    near, short = make_api_token(world.acme), make_api_token(world.acme)
    foreign = secret.mint(TokenKind.API)
    dump.write_text(
        f"export TOKEN={ours.token}\n{ours.token} again\n"
        f'{{"authorization":"Bearer {mine.token}"}}\n'
        f"{typo(near.token)}\n{short.token[:-1]}\n{foreign}\n"
    )
    ran = run("revoketokens", "--leaked", str(dump), *WHY, "--yes", "--json")
    assert ran.status == 0
    assert ran.ids == {str(ours.pk), str(mine.pk)}
    assert ran.json["leaked"] == {"found": 3, "ours": 2}
    assert "3 tokens, 2 of them issued here" in ran.err
    for value in (ours.token, mine.token, near.token, foreign):
        assert value not in ran.said


def test_a_text_without_our_tokens_is_nothing_matched(run: Run, world: World, dump: Path) -> None:
    make_api_token(world.acme)
    dump.write_text(secret.mint(TokenKind.PERSONAL))
    ran = run("revoketokens", "--leaked", str(dump), *WHY, "--json")
    assert ran.status == 1
    assert ran.json == {
        "dry_run": False,
        "reason": "leaked",
        "leaked": {"found": 1, "ours": 0},
        "tokens": [],
        "matched": 0,
        "revoked": 0,
    }


def test_an_empty_file_never_means_every_token(run: Run, world: World, dump: Path) -> None:
    token = make_api_token(world.acme)
    dump.write_bytes(b"")
    assert run("revoketokens", "--leaked", str(dump), "--all", *WHY, "--yes").status == 1
    token.refresh_from_db()
    assert token.is_active


def test_a_revoked_token_in_the_text_is_ours_but_not_hit_again(run: Run, world: World, dump: Path) -> None:
    token = make_api_token(world.acme)
    services.revoke(SETUP, token, reason="before")
    dump.write_text(token.token)
    ran = run("revoketokens", "--leaked", str(dump), *WHY, "--json")
    assert (ran.status, ran.json["leaked"]) == (1, {"found": 1, "ours": 1})


def test_other_conditions_narrow_a_leak(run: Run, world: World, dump: Path) -> None:
    acme, globex = make_api_token(world.acme), make_api_token(world.globex)
    dump.write_text(f"{acme.token} {globex.token}")
    leaked = ("revoketokens", "--leaked", str(dump), *WHY, "--dry-run", "--json")
    assert run(*leaked, "--organization", "globex").ids == {str(globex.pk)}
    assert run(*leaked, "--id", str(acme.pk)).ids == {str(acme.pk)}
    assert run(*leaked, "--id", str(make_api_token(world.acme).pk)).ids == set()


def test_a_token_signed_with_an_old_pepper_is_found(run: Run, world: World, dump: Path, settings) -> None:
    token = make_api_token(world.acme)
    settings.TOKEN_PEPPERS = {"new": b"n" * 32} | settings.TOKEN_PEPPERS
    dump.write_text(token.token)
    assert run("revoketokens", "--leaked", str(dump), *WHY, "--dry-run", "--json").ids == {str(token.pk)}


def test_standard_input_is_read_and_then_nobody_can_be_asked(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = make_api_token(world.acme), make_api_token(world.acme)

    def piped() -> None:
        text = io.BytesIO(f"{one.token}\n{two.token}".encode())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(text))

    piped()
    assert run("revoketokens", "--leaked", "-", *WHY).status == 2
    piped()
    assert run("revoketokens", "--leaked", "-", *WHY, "--yes", "--json").ids == {str(one.pk), str(two.pk)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_the_encoding_of_the_text_does_not_hide_a_token(
    run: Run, world: World, dump: Path, encoding: str
) -> None:
    token = make_api_token(world.acme)
    dump.write_bytes(f"clé: {token.token}".encode(encoding))
    assert run("listtokens", "--leaked", str(dump), "--json").ids == {str(token.pk)}


def test_a_token_glued_behind_one_cut_short_is_found(run: Run, world: World, dump: Path) -> None:
    cut, whole = make_api_token(world.acme), make_personal_token(world.owner)
    for length in range(5, 51):
        dump.write_text(cut.token[:length] + whole.token + "abc")
        assert run("listtokens", "--leaked", str(dump), "--json").ids == {str(whole.pk)}


class Counted(io.RawIOBase):
    """A text larger than we would like to hold: megabytes of filling, with tokens in between."""

    def __init__(self, tokens: list[bytes], filling: int) -> None:
        self.parts = iter([part for token in tokens for part in (b"x" * filling, token)])
        self.rest = b""
        self.largest = 0

    def read(self, size: int = -1) -> bytes:
        self.largest = max(self.largest, size)
        while len(self.rest) < size and (part := next(self.parts, None)):
            self.rest += part
        given, self.rest = self.rest[:size], self.rest[size:]
        return given


def test_a_huge_text_is_read_in_pieces_of_bounded_size(world: World) -> None:
    tokens = [make_api_token(world.acme) for _ in range(3)]
    stream = Counted([token.token.encode() for token in tokens], leaks.PIECE_BYTES * 3 - 25)
    found = leaks.search(stream)
    assert found.ours == {token.pk for token in tokens}
    assert stream.largest == leaks.PIECE_BYTES


@given(st.integers(min_value=1, max_value=120), st.integers(min_value=0, max_value=120))
def test_no_border_between_two_pieces_hides_a_token(piece: int, before: int) -> None:
    values = [secret.mint(TokenKind.API), secret.mint(TokenKind.PERSONAL)]
    text = "t" * before + "".join(values) + "tola_" + values[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaks, "PIECE_BYTES", piece)
        assert set(leaks._values(io.BytesIO(text.encode()))) == set(values)


def test_many_tokens_are_looked_up_in_batches(
    run: Run, world: World, dump: Path, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries
) -> None:
    tokens = [make_api_token(world.acme) for _ in range(7)]
    dump.write_text("\n".join(token.token for token in tokens))
    monkeypatch.setattr(leaks, "LOOKED_UP_AT_ONCE", 3)
    with django_assert_max_num_queries(6), dump.open("rb") as stream:  # 3 batches, each in two tables
        assert leaks.search(stream).ours == {token.pk for token in tokens}
    assert APIToken.objects.filter(revoked_at__isnull=False).count() == 0
