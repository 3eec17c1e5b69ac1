"""The token string: what it looks like, how a wrong one is told apart, how it is found and hidden in text."""

import contextlib
import hashlib
import hmac
import string
import zlib
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tokens import secret
from tokens.secret import Malformed, TokenKind

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
KINDS = st.sampled_from(TokenKind)
ENTROPY = st.text(BASE62, min_size=40, max_size=40)


def whole(kind: TokenKind, entropy: str) -> str:
    """A token, put together here: nothing of it is computed by the code under test."""
    body = f"{kind.value}_{entropy}"
    number, digits = zlib.crc32(body.encode("ascii")), []
    while number:
        digits.append(BASE62[number % 62])
        number //= 62
    return body + "".join(reversed(digits)).rjust(6, "0")


TOKENS = st.builds(whole, KINDS, ENTROPY)

# (body, its CRC-32 as `gzip` would write it, that number in base 62)
GOLDEN = [
    ("tola_" + "0" * 40, 1_160_095_471, "1GVdpH"),
    ("tolp_" + "0" * 40, 4_146_744_175, "4WdJaZ"),
    ("tola_" + "z" * 40, 1_917_852_932, "25n79o"),
    ("tola_" + "21".rjust(40, "0"), 1_373_435, "005lIB"),
]


@pytest.mark.parametrize("kind", TokenKind)
def test_a_token_is_51_characters_prefix_entropy_checksum(kind: TokenKind) -> None:
    value = secret.mint(kind)

    assert len(value) == secret.LENGTH == 51
    assert value[:5] == {"API": "tola_", "PERSONAL": "tolp_"}[kind.name]
    assert set(value[5:]) <= set(BASE62)
    assert value == whole(kind, value[5:45])
    assert secret.parse(value) is kind
    assert secret.hint(value) == value[:9]


def test_it_is_one_word_so_that_a_double_click_selects_it() -> None:
    value = secret.mint(TokenKind.API)

    assert value.replace("_", "a").isalnum()
    assert value.isascii()


@pytest.mark.parametrize(("body", "number", "expected"), GOLDEN)
def test_the_checksum_is_crc32_in_base_62(body: str, number: int, expected: str) -> None:
    assert zlib.crc32(body.encode()) == number
    assert sum(BASE62.index(digit) * 62**place for place, digit in enumerate(reversed(expected))) == number
    assert secret.checksum(body) == expected


@given(ENTROPY, KINDS)
def test_the_checksum_agrees_with_an_independent_one(entropy: str, kind: TokenKind) -> None:
    value = whole(kind, entropy)

    assert secret.checksum(value[:45]) == value[45:]


def test_the_largest_crc_fits_six_digits() -> None:
    assert 62**5 < 2**32 <= 62**6


# HMAC-SHA-256 by its definition (RFC 2104), without the hmac module.
def hmac_by_hand(key: bytes, message: bytes) -> bytes:
    key = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def test_the_hand_made_hmac_agrees_with_rfc_4231() -> None:
    assert hmac_by_hand(b"Jefe", b"what do ya want for nothing?").hex() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


@given(TOKENS, st.binary(min_size=1, max_size=100))
def test_the_digest_is_hmac_sha_256_under_the_pepper(value: str, pepper: bytes) -> None:
    digest = secret.digest(value, pepper)

    assert digest == hmac_by_hand(pepper, value.encode())
    assert hmac.compare_digest(digest, hmac.new(pepper, value.encode(), "sha256").digest())
    assert len(digest) == 32


@given(TOKENS)
def test_another_pepper_gives_another_digest(value: str) -> None:
    assert secret.digest(value, b"first") != secret.digest(value, b"second")


# --- what is wrong with a value ---------------------------------------------------------------------

GOOD = whole(TokenKind.API, "A" * 40)
WRONG = {
    "empty": ("", "start with tola_"),
    "another service's": ("ghp_" + "a" * 36, "start with tola_"),
    "a JWT": ("eyJhbGciOiJIUzI1NiJ9.e30.abc", "start with tola_"),
    "upper-case prefix": (GOOD.upper(), "start with tola_"),
    "a space in front": (f" {GOOD}", "start with tola_"),
    "unknown kind": ("tolx_" + GOOD[5:], "start with tola_"),
    "the prefix alone": ("tola_", "cut short: 5 characters instead of 51"),
    "the hint": (GOOD[:9], "cut short: 9 characters instead of 51"),
    "the last character lost": (GOOD[:-1], "cut short: 50 characters instead of 51"),
    "the mask": ("tola_" + "*" * 46, "typo"),
    "a line break behind": (f"{GOOD}\n", "too long: 52 characters instead of 51"),
    "quoted": (f"{GOOD}'", "too long: 52 characters instead of 51"),
    "a dash in it": (GOOD[:20] + "-" + GOOD[21:], "typo"),
    "kinds swapped": ("tolp_" + GOOD[5:], "typo"),
    "case folded": ("tola_" + GOOD[5:].lower(), "typo"),
    "a letter outside ASCII": (GOOD[:20] + "é" + GOOD[21:], "typo"),
    "a digit outside ASCII": (GOOD[:20] + "٣" + GOOD[21:], "typo"),
    "a letter outside ASCII in the checksum": (GOOD[:-1] + "é", "typo"),
    "a lone surrogate": (GOOD[:20] + "\ud800" + GOOD[21:], "typo"),
    "a NUL": (GOOD[:20] + "\0" + GOOD[21:], "typo"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_told_what_is_wrong_and_never_repeated(case: str) -> None:
    value, told = WRONG[case]

    with pytest.raises(Malformed) as fault:
        secret.parse(value)

    assert told in str(fault.value)
    assert len(value) < 6 or value not in str(fault.value)


@given(TOKENS, st.integers(5, 50), st.sampled_from(BASE62))
def test_any_one_character_mistyped_is_a_typo(value: str, at: int, other: str) -> None:
    assume(value[at] != other)

    with pytest.raises(Malformed, match="typo"):
        secret.parse(value[:at] + other + value[at + 1 :])


@given(TOKENS, st.integers(5, 49))
def test_two_neighbours_swapped_are_a_typo(value: str, at: int) -> None:
    assume(value[at] != value[at + 1])

    with pytest.raises(Malformed, match="typo"):
        secret.parse(value[:at] + value[at + 1] + value[at] + value[at + 2 :])


@given(TOKENS, st.integers(5, 50))
def test_any_loss_at_the_end_is_a_truncation(value: str, kept: int) -> None:
    with pytest.raises(Malformed, match=f"cut short: {kept} characters"):
        secret.parse(value[:kept])


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(Malformed):
        secret.parse(text)


# --- tokens in texts -------------------------------------------------------------------------------

FIRST, SECOND = whole(TokenKind.API, "1" * 40), whole(TokenKind.PERSONAL, "2" * 40)
NEAR_MISS = FIRST[:-1] + ("0" if FIRST[-1] != "0" else "1")
FOUND = {
    "alone": (FIRST, [FIRST]),
    "in a sentence": (f"use {FIRST}, not {SECOND}.", [FIRST, SECOND]),
    "twice": (f"{FIRST} {FIRST}", [FIRST]),
    "glued to each other": (f"{FIRST}{SECOND}", [FIRST, SECOND]),
    "glued to words": (f"x{FIRST}y", [FIRST]),
    "in JSON": (f'{{"token":"{FIRST}"}}', [FIRST]),
    "in a URL": (f"https://host/?q={FIRST}&r={SECOND}", [FIRST, SECOND]),
    "in a header": (f"Authorization: Bearer {SECOND}\r\n", [SECOND]),
    "behind one cut short": (FIRST[:30] + SECOND, [SECOND]),
    "behind one that lost its last character": (FIRST[:-1] + SECOND, [SECOND]),
    "a near miss": (NEAR_MISS, []),
    "behind a near miss": (NEAR_MISS + SECOND, [SECOND]),
    "over two lines": (f"{FIRST[:20]}\n{FIRST[20:]}", []),
    "cut short": (FIRST[:-1], []),
    "the mask": (secret.MASK, []),
    "prefixes of prefixes": ("tola_tola_tolp_" + FIRST, [FIRST]),
    "nothing": ("", []),
}


@pytest.mark.parametrize("case", FOUND)
def test_tokens_are_found_wherever_they_stand(case: str) -> None:
    text, expected = FOUND[case]

    assert list(secret.find(text)) == expected


@given(st.lists(st.one_of(TOKENS, st.text(), ENTROPY)))
def test_every_token_in_a_text_is_found_once_and_nothing_else_is(pieces: list[str]) -> None:
    text = "".join(pieces)
    tokens = [piece for piece in pieces if len(piece) == 51 and piece[:5] in ("tola_", "tolp_")]

    found = list(secret.find(text))

    assert set(tokens) <= set(found)
    assert len(found) == len(set(found))
    assert all(value in text and secret.parse(value) for value in found)


@given(st.lists(st.one_of(TOKENS, st.text())))
def test_redacted_text_holds_no_token(pieces: list[str]) -> None:
    redacted = secret.redact("".join(pieces))

    assert list(secret.find(redacted)) == []
    assert not secret.PATTERN.search(redacted)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Bearer {FIRST}!", "Bearer tola_[redacted]!"),
        (f"{FIRST}{SECOND} {SECOND}", "tola_[redacted] tolp_[redacted]"),
        (NEAR_MISS, "tola_[redacted]"),
        ("nothing here", "nothing here"),
        ("tola_abc", "tola_abc"),
    ],
)
def test_redaction_leaves_the_prefix_and_the_rest_of_the_text(text: str, expected: str) -> None:
    assert secret.redact(text) == expected


@pytest.mark.parametrize("cut", range(5, 51))
def test_a_token_glued_behind_one_cut_short_does_not_survive_redaction(cut: int) -> None:
    redacted = secret.redact(FIRST[:cut] + SECOND)

    assert SECOND[-20:] not in redacted
    assert SECOND[5:25] not in redacted


# --- chance ----------------------------------------------------------------------------------------


def test_no_two_are_alike_and_no_character_is_favoured() -> None:
    """A byte modulo 62 would favour eight characters by a quarter; 80,000 characters show that."""
    values = [secret.mint(TokenKind.API) for _ in range(2_000)]
    seen = Counter("".join(value[5:45] for value in values))

    assert len(set(values)) == len(values)
    assert set(seen) == set(BASE62)
    expected = 2_000 * 40 / 62
    chi_square = sum((count - expected) ** 2 / expected for count in seen.values())
    assert chi_square < 140  # 61 degrees of freedom: by chance once in ten million runs


@pytest.mark.parametrize("place", [0, 1, 39])
def test_every_place_varies(place: int) -> None:
    assert len({secret.mint(TokenKind.API)[5 + place] for _ in range(500)}) > 50
