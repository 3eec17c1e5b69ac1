"""`make serve`: from a fresh clone to a listening server. Run again, it only starts.

Makes the secrets, migrates the database, fills a new one with the demo, and becomes the server.
Neighbours: Makefile, which installs what this needs; settings.py, which reads the `.env`; server.py.
"""

import json
import os
import secrets
import sys
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import django
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

ROOT = Path(__file__).resolve().parent.parent
DEMO_TOKEN_LIFE = timedelta(days=90)


def main() -> None:
    make_secrets(ROOT / ".env")
    (ROOT / "var").mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    url = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    print(f"\nTollgate: {url}  (Ctrl-C ends it)\n")
    print(demo(url) if is_new() else KEPT, flush=True)
    become_server()


def make_secrets(path: Path) -> None:
    """A SECRET_KEY, a first pepper and a first key for fields, readable by their owner alone.

    An existing file is left as it is.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(f"SECRET_KEY={secrets.token_urlsafe(48)}\nTOKEN_PEPPERS=1:{secrets.token_hex(32)}\n")
        file.write(f"FIELD_KEYS={Fernet.generate_key().decode()}\n")


def is_new() -> bool:
    """Whether the database has never held an organization."""
    from organizations.models import Organization  # models need the settings, which need the secrets

    return not Organization.objects.exists()


KEPT = """The database is as you left it, and so are its tokens. A fresh set of demo tokens:
  .venv/bin/python manage.py createdemo
"""


def demo(url: str) -> str:
    """Make the demo; return its people, its tokens (shown this once) and three requests to paste."""
    told = StringIO()
    call_command("createdemo", "--json", stdout=told)
    made = json.loads(told.getvalue())
    return "\n".join(
        [
            "A demo is in the database. Its values are shown this once;",
            "  .venv/bin/python manage.py createdemo     issues a fresh set and revokes this one.",
            "",
            *roll(made),
            "",
            *requests(url, made["personal_access_tokens"]["owner"]["token"], timezone.now()),
        ]
    )


def roll(made: dict[str, Any]) -> list[str]:
    """One line per person and per API token."""
    tokens = made["personal_access_tokens"]
    lines = [f"{'log in at /login/ as':<28}{'password':<28}personal access token"]
    lines += [
        f"{person['email']:<28}{person['password']:<28}{tokens[name]['token']}"
        for name, person in made["users"].items()
    ]
    lines += ["", f"{'organization':<56}API token"]
    lines += [f"{name:<56}{token['token']}" for name, token in made["api_tokens"].items()]
    return lines


def requests(url: str, token: str, now: datetime) -> list[str]:
    """Three requests with the owner's token, each a line for a shell."""
    expires_at = (now + DEMO_TOKEN_LIFE).strftime("%Y-%m-%dT%H:%M:%SZ")
    bodies = {
        "Who am I?": {"query": "{ me { id } }"},
        "Which API tokens are there?": {
            "query": "{ apiTokens(first: 10) "
            "{ totalCount edges { node { id name scopes isActive lastUsedAt } } } }"
        },
        "A new personal access token:": {
            "query": "mutation Create($input: CreatePersonalAccessTokenInput!) "
            "{ createPersonalAccessToken(input: $input) "
            "{ personalAccessToken { id name token scopes expiresAt } } }",
            "variables": {"input": {"name": "My laptop", "scopes": ["read"], "expiresAt": expires_at}},
        },
    }
    return [
        line
        for title, body in bodies.items()
        for line in (
            title,
            f"  curl -H \"Authorization: Bearer {token}\" {url}/query -d '{json.dumps(body)}'",
            "",
        )
    ]


def become_server() -> None:
    """Replace this process by the server: nothing stands between it and a signal."""
    connections.close_all()
    os.execv(sys.executable, [sys.executable, "-m", "config.server"])  # noqa: S606 (no shell, on purpose)


if __name__ == "__main__":
    main()
