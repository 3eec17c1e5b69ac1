"""docs/scanners: what scanners are told to look for is found, and what only looks like it is not.

Every value is minted here, and scanned in a folder that goes away.
"""

import base64
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tokens import secret
from tokens.secret import TokenKind

SCANNERS = Path(__file__).resolve().parents[2] / "docs" / "scanners"
NOISE = base64.b64encode(b"".join(hashlib.sha256(bytes([n])).digest() for n in range(10))).decode()


def changed(value: str) -> str:
    """Another base62 character in the middle."""
    return value[:20] + ("a" if value[20] != "a" else "b") + value[21:]


PLANTED: dict[str, Callable[[str], str]] = {
    "alone": lambda value: value,
    "in quotes": lambda value: f'TOKEN = "{value}"',
    "in a header": lambda value: f"curl -H 'Authorization: Bearer {value}' https://tollgate.example/query",
    "in a URL": lambda value: f"https://someone:{value}@tollgate.example/",
    "in JSON": lambda value: json.dumps({"token": value}),
    "glued to text": lambda value: f"password{value}andmore_text",
    "in noise like base64": lambda value: NOISE[:200] + value + NOISE[200:],
    "behind one cut short": lambda value: value[:30] + value,
    "behind itself": lambda value: value + value,
}
NEAR_MISSES: dict[str, Callable[[str], str]] = {
    "one character changed": changed,
    "its last character changed": lambda value: value[:-1] + ("a" if value[-1] != "a" else "b"),
    "with the checksum of another": lambda value: value[:-6] + secret.checksum(value),
    "too short": lambda value: value[:-1],
    "cut by a line": lambda value: f"{value[:40]}\n{value[40:]}",
    "another alphabet": lambda value: value[:20] + "-" + value[21:],
    "letters of another script": lambda value: value[:20] + "а" + value[21:],
    "another prefix": lambda value: "tolx_" + value[5:],
    "its prefix in capitals": lambda value: value[:5].upper() + value[5:],
    "noise like base64 behind a prefix": lambda value: value[:5] + NOISE.replace("+", "x").replace("/", "y"),
    "its hint": lambda value: f"{secret.hint(value)}…",
    "redacted": secret.redact,
}
MADE_UP = {"one character changed", "its last character changed", "with the checksum of another"}
MADE_UP |= {"noise like base64 behind a prefix"}
"""What a pattern without a checksum cannot tell."""

Scan = dict[str, tuple[str, list[str]]]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """What was planted -> the value, and the SHA-1 of what detect-secrets finds. One run over a file each."""
    folder = tmp_path_factory.mktemp("scanned")
    values = {}
    for number, (what, planted) in enumerate((PLANTED | NEAR_MISSES).items()):
        values[f"{number}.txt"] = (what, secret.mint(list(TokenKind)[number % 2]))
        (folder / f"{number}.txt").write_text(f"first line\n{planted(values[f'{number}.txt'][1])}\n")
    plugin = str(SCANNERS / "detect_secrets_tollgate.py")
    command = [sys.executable, "-m", "detect_secrets", "scan", "--all-files", "--plugin", plugin, "."]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    for file in folder.iterdir():
        file.unlink()
    assert all(value not in ran.stdout + ran.stderr for _, value in values.values())
    found = json.loads(ran.stdout)["results"]
    return {
        what: (
            value,
            [it["hashed_secret"] for it in found.get(name, []) if it["type"] == "Tollgate token"],
        )
        for name, (what, value) in values.items()
    }


@pytest.mark.parametrize("what", PLANTED)
def test_detect_secrets_finds_a_planted_token(scanned: Scan, what: str) -> None:
    value, found = scanned[what]
    assert found == [hashlib.sha1(value.encode(), usedforsecurity=False).hexdigest()]


@pytest.mark.parametrize("what", NEAR_MISSES)
def test_detect_secrets_passes_over_what_does_not_add_up(scanned: Scan, what: str) -> None:
    assert scanned[what][1] == []


@pytest.fixture(scope="module")
def rule() -> dict[str, object]:
    ((found,), extend) = map(tomllib.loads((SCANNERS / "gitleaks.toml").read_text()).get, ("rules", "extend"))
    assert extend == {"useDefault": True}
    return dict(found)


def test_the_rule_for_gitleaks_looks_for_what_the_server_calls_a_token(rule: dict[str, object]) -> None:
    assert rule["regex"] == secret.PATTERN.pattern
    assert rule["keywords"] == [kind.prefix for kind in TokenKind]


@pytest.mark.parametrize("what", PLANTED | NEAR_MISSES)
def test_the_rule_for_gitleaks_knows_the_form_and_no_checksum(rule: dict[str, object], what: str) -> None:
    text = (PLANTED | NEAR_MISSES)[what](secret.mint(TokenKind.API))
    assert bool(re.search(str(rule["regex"]), text)) == (what in PLANTED or what in MADE_UP)
