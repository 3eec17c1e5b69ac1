"""`make serve` leaves nothing to do by hand: secrets of its own, and requests that can be pasted."""

import json
import os
import shlex
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from config import serve, server

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKEN = "tolp_in_its_place"


def test_the_secrets_are_their_owners_alone(tmp_path: Path) -> None:
    serve.make_secrets(tmp_path / ".env")

    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_no_two_installations_share_a_secret(tmp_path: Path) -> None:
    for name in ("first", "second"):
        serve.make_secrets(tmp_path / name)
    first, second = (dict(lines(tmp_path / name)) for name in ("first", "second"))

    assert first.keys() == second.keys() == {"SECRET_KEY", "TOKEN_PEPPERS", "FIELD_KEYS"}
    assert not set(first.values()) & set(second.values())
    assert Fernet(first.pop("FIELD_KEYS"))
    assert all(len(value) >= 64 for value in first.values())


def lines(path: Path) -> list[list[str]]:
    return [line.split("=", 1) for line in path.read_text().splitlines()]


def test_secrets_that_exist_stay(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SECRET_KEY=kept\n")

    serve.make_secrets(tmp_path / ".env")

    assert (tmp_path / ".env").read_text() == "SECRET_KEY=kept\n"


def test_the_requests_can_be_pasted_into_a_shell() -> None:
    commands = [
        shlex.split(line) for line in serve.requests("http://127.0.0.1:8000", TOKEN, NOW) if "curl" in line
    ]

    assert len(commands) == 3
    for program, flag, header, address, data_flag, body in commands:
        assert (program, flag, data_flag) == ("curl", "-H", "-d")
        assert header == f"Authorization: Bearer {TOKEN}"
        assert address == "http://127.0.0.1:8000/query"
        assert json.loads(body)["query"]
    assert json.loads(commands[0][-1]) == {"query": "{ me { id } }"}


def test_the_new_token_of_the_demo_expires_later() -> None:
    body = serve.requests("", TOKEN, NOW)[-2].split("-d ")[1]

    assert json.loads(shlex.split(body)[0])["variables"]["input"]["expiresAt"] == "2026-05-30T12:00:00Z"


def test_port_and_workers_are_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9000")
    monkeypatch.setenv("WORKERS", "3")

    assert server.options()["port"] == 9000
    assert server.options()["workers"] == 3


def test_without_them_it_is_8000_and_a_worker_per_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.delenv("WORKERS", raising=False)

    assert server.options()["port"] == 8000
    assert server.options()["workers"] == len(os.sched_getaffinity(0))
