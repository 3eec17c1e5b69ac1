"""The real server: granian in a process of its own, on a port and a database of its own."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.conf import settings

from config.server import KILL_TIMEOUT_SECONDS

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 30


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.text)


@dataclass
class Server:
    url: str
    process: subprocess.Popen[bytes]

    def get(self, path: str, **headers: str) -> Reply:
        """A header's name is written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, headers=named)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return Reply(answer.status, dict(answer.headers), answer.read().decode())
        except urllib.error.HTTPError as refused:
            return Reply(refused.code, dict(refused.headers), refused.read().decode())

    def use(self, token: str) -> Reply:
        """Any address will do: what counts is that the token was accepted."""
        return self.get("/nothing-here", Authorization=f"Bearer {token}")

    def listens(self) -> bool:
        try:
            return self.get("/livez").status == 200
        except OSError:
            return False

    def is_live(self) -> bool:
        assert self.process.poll() is None, "the server ended at once"
        return self.listens()

    def stop(self) -> int:
        self.process.terminate()
        return self.ended()

    def ended(self) -> int:
        """The exit code. Less patient than the server, which in the end kills a worker that does not stop."""
        return self.process.wait(KILL_TIMEOUT_SECONDS / 2)


@dataclass
class Database:
    """A migrated database that holds the demo, on the engine this suite runs on."""

    url: str
    demo: dict[str, Any] = field(default_factory=dict)

    def token_of(self, person: str) -> str:
        return self.demo["personal_access_tokens"][person]["token"]

    def uses_of(self, person: str) -> int:
        """What is in the database now, read past every process that serves."""
        with closing(self._connect()) as connection:
            rows = connection.execute("SELECT id, usage_count FROM tokens_personalaccesstoken").fetchall()
        wanted = UUID(self.demo["personal_access_tokens"][person]["id"])
        return next(count for token_id, count in rows if UUID(str(token_id)) == wanted)

    def _connect(self) -> Any:
        if self.url.startswith("sqlite"):
            return sqlite3.connect(self.url.removeprefix("sqlite:///"))
        return psycopg.connect(self.url)


def environment(database_url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": "only-for-tests-" * 4,
        "TOKEN_PEPPERS": "test:" + "tests-only-for-" * 4,
        "DATABASE_URL": database_url,
        "PYTHONWARNINGS": "ignore",
    }


def manage(database_url: str, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(database_url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with _empty_database(tmp_path_factory.mktemp("serving")) as made:
        manage(made.url, "migrate", "--verbosity=0")
        made.demo = json.loads(manage(made.url, "createdemo", "--json"))
        yield made


@contextmanager
def _empty_database(directory: Path) -> Iterator[Database]:
    chosen = settings.DATABASES["default"]
    if "sqlite" in chosen["ENGINE"]:
        yield Database(f"sqlite:///{directory / 'served.sqlite3'}")
        return
    name = f"test_serving_{uuid4().hex[:12]}"
    who = chosen["USER"] + (f":{chosen['PASSWORD']}" if chosen["PASSWORD"] else "")
    cluster = f"postgres://{who}@{chosen['HOST']}:{chosen['PORT'] or 5432}"
    with psycopg.connect(f"{cluster}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield Database(f"{cluster}/{name}")
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(database_url) starts a server, waits until it lives, and ends it after the test."""
    started: list[Server] = []

    def start(database_url: str) -> Server:
        port = _free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "config.server"],
            cwd=ROOT,
            env=environment(database_url) | {"PORT": str(port), "WORKERS": "2"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        server = Server(f"http://127.0.0.1:{port}", process)
        started.append(server)
        wait_until(server.is_live)
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def server(serve: Serve, database: Database) -> Server:
    return serve(database.url)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "gave up waiting for the server"
        time.sleep(0.05)
