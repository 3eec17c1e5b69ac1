"""The vocabulary of permission: what scopes exist, how they are spelled, and which cover which.

Pure: no Django, no database. Grammar: `verb` or `verb:objects` (`read`, `read:controls`); the spelling
`object:verb` (`control:read`) names the same scope. `admin` covers `delete` covers `write` covers
`read`; a bare verb covers all objects. Neighbour: access.py, which asks whether somebody holds a scope.
"""

import difflib
from collections.abc import Collection, Iterable
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple


class Verb(IntEnum):
    """Ordered: each verb covers those before it."""

    read = 1
    write = 2
    delete = 3
    admin = 4


class Scope(NamedTuple):
    verb: Verb
    objects: str  # "" is every object

    def __str__(self) -> str:
        return f"{self.verb.name}:{self.objects}" if self.objects else self.verb.name

    def covers(self, other: "Scope") -> bool:
        return self.verb >= other.verb and self.objects in ("", other.objects)


CATALOGUE: MappingProxyType[str, str] = MappingProxyType(
    {
        "read": "Read every resource its holder can reach",
        "write": "Change every resource its holder can change, and read it",
        "delete": "Delete every resource its holder can delete, and write it",
        "admin": "Administer everything within the holder's own rights",
        "read:controls": "Read compliance controls",
        "read:evidence": "Read evidence records",
        "write:evidence": "Upload and manage evidence",
        "read:tasks": "Read assigned tasks",
        "write:tasks": "Create and update tasks",
        "read:reports": "Read compliance reports",
        "write:notes": "Create and manage notes",
        "write:files": "Upload and manage files",
        "admin:integrations": "Manage personal integrations",
        "read:tokens": "Read tokens: one's own, and the organization's API tokens",
        "write:tokens": "As read:tokens; and a token that has it may rotate itself",
        "admin:tokens": "Issue, change, revoke and delete tokens",
        "read:organization": "Read the organization",
        "write:organization": "Change the organization's name, description and tags",
        "admin:organization": "Change the organization's settings",
        "read:members": "Read who is a member",
        "admin:members": "Add and remove members, change their roles",
        "read:groups": "Read groups and who is in them",
        "write:groups": "Create and change groups",
        "admin:groups": "Manage groups, their members and their scopes",
        "read:events": "Read the audit trail",
    }
)
"""Canonical name -> what it allows."""

_SINGULAR = MappingProxyType(
    {
        "api_token": "tokens",
        "personal_access_token": "tokens",
        "token": "tokens",
        "member": "members",
        "org_membership": "members",
        "control": "controls",
        "task": "tasks",
        "report": "reports",
        "note": "notes",
        "file": "files",
        "integration": "integrations",
        "group": "groups",
        "event": "events",
        "organization": "organization",
        "evidence": "evidence",
    }
)
"""Object as the spelling `object:verb` names it -> as `verb:objects` does."""


class UnknownScope(ValueError):
    """A scope outside the catalogue; the message names it and the nearest known one."""

    def __init__(self, name: str) -> None:
        nearest = difflib.get_close_matches(name, (*CATALOGUE, *_ALIASES), n=1, cutoff=0.5)
        hint = f' Did you mean "{nearest[0]}"?' if nearest else ""
        super().__init__(f'Unknown scope "{name[:80]}".{hint} See scopes {{ name }}.')


_ALIASES: MappingProxyType[str, str] = MappingProxyType(
    {
        f"{singular}:{verb.name}": meant
        for singular, objects in _SINGULAR.items()
        for verb in Verb
        if (meant := f"{verb.name}:{objects}") in CATALOGUE
    }
)

_PARSED: MappingProxyType[str, Scope] = MappingProxyType(
    {name: Scope(Verb[name.partition(":")[0]], name.partition(":")[2]) for name in CATALOGUE}
)

_COVERED_BY: MappingProxyType[str, frozenset[str]] = MappingProxyType(
    {
        asked: frozenset(held for held, scope in _PARSED.items() if scope.covers(wanted))
        for asked, wanted in _PARSED.items()
    }
)


def canonical(name: str) -> str:
    """The `verb:objects` spelling. Raises UnknownScope; no wildcard, no trimming, no case folding."""
    resolved = _ALIASES.get(name, name)
    if resolved not in CATALOGUE:
        raise UnknownScope(name)
    return resolved


def held(names: Iterable[str]) -> frozenset[str]:
    """Canonical scopes out of stored names. One that left the catalogue grants nothing."""
    resolved = (_ALIASES.get(name, name) for name in names)
    return frozenset(name for name in resolved if name in CATALOGUE)


def covers(held: Collection[str], asked: str) -> bool:
    """Whether canonical scopes `held` include canonical scope `asked`. An unknown one never is."""
    return not _COVERED_BY.get(asked, frozenset()).isdisjoint(held)


def is_administrative(name: str) -> bool:
    """Whether a canonical scope is of the verb admin."""
    return _PARSED[name].verb is Verb.admin


def common(some: Collection[str], others: Collection[str]) -> frozenset[str]:
    """What two sets of canonical scopes both allow."""
    return frozenset(name for name in CATALOGUE if covers(some, name) and covers(others, name))


def names_of(verb: Verb) -> list[str]:
    """Every name, in both spellings, of the scopes of one verb."""
    return [name for name in (*CATALOGUE, *_ALIASES) if _PARSED[canonical(name)].verb is verb]


def by_object() -> dict[str, list[str]]:
    """Object -> its verbs, as `GET /v1/scopes` answers; bare verbs stand under `*`."""
    answer: dict[str, list[str]] = {}
    for scope in _PARSED.values():
        answer.setdefault(scope.objects or "*", []).append(scope.verb.name)
    return answer


def spellings(name: str) -> tuple[str, ...]:
    """Every spelling of a scope, the canonical one first. Raises UnknownScope."""
    resolved = canonical(name)
    return (resolved, *(alias for alias, meant in _ALIASES.items() if meant == resolved))
