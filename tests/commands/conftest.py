"""Two ways to run a command: `run` in this process, `shell` as a process of its own on a database file."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command


@dataclass
class Ran:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """What is on stdout, which must be one JSON object and nothing else."""
        content = json.loads(self.out)
        assert isinstance(content, dict)
        return content

    @property
    def ids(self) -> set[str]:
        return {token["id"] for token in self.json["tokens"]}

    @property
    def said(self) -> str:
        return self.out + self.err


Run = Callable[..., Ran]


@pytest.fixture
def run() -> Run:
    """run("revoketokens", "--all", ...) by call_command."""

    def ran(*arguments: str) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        status = 0
        try:
            call_command(*arguments, stdout=out, stderr=err)
        except CommandError as error:
            status = error.returncode
            err.write(f"{error}\n")
        return Ran(status, out.getvalue(), err.getvalue())

    return ran


@dataclass
class Shell:
    """`manage.py` as its own process, on an SQLite file of its own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "SECRET_KEY": "a process of its own " * 3,
            "DATABASE_URL": f"sqlite:///{self.folder}/database/db.sqlite3",
            "USAGE_SPOOL_DIR": f"{self.folder}/spool",
        }

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=settings.BASE_DIR,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=settings.BASE_DIR,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database that holds the demo, and what createdemo said."""
    folder = tmp_path_factory.mktemp("migrated")
    (folder / "database").mkdir()
    shell = Shell(folder)
    migration = shell("migrate", "--verbosity", "0")
    assert migration.status == 0, migration.err
    demo = shell("createdemo", "--json")
    assert demo.status == 0, demo.err
    (folder / "demo.json").write_text(demo.out)
    return folder


@pytest.fixture
def shell(migrated: Path, tmp_path: Path) -> Iterator[Shell]:
    shutil.copytree(migrated, tmp_path, dirs_exist_ok=True)
    return Shell(tmp_path)


@pytest.fixture
def demo(shell: Shell) -> dict[str, Any]:
    """What createdemo said of the database of `shell`."""
    content: dict[str, Any] = json.loads((shell.folder / "demo.json").read_text())
    return content
