"""The leak desk: a person pastes a log or a dump, sees which of their tokens are in it, and ends them.

The text is searched in memory and forgotten with its answer; what goes on from there are ids. What others
own is counted, not shown. Neighbours: leaks.py (the search), services.py and rotation.py (what ends them).
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from organizations.access import Principal
from tokens import leaks, rotation, services, standing
from tokens.console import explained
from tokens.leaks import Leak
from tokens.models import APIToken, PersonalAccessToken, State, Token, TokenUsage
from tokens.rotation import Reason
from tokens.standing import Status

MOST_BYTES = 10_485_760
MOST_TOKENS = 500
REASON = "Found in a leak"
TOO_LARGE = "This is more than 10 MiB. Send it in parts, or let an operator run revoketokens --leaked."
NOTHING = "Paste a text, or choose a file."


class InMemory(MemoryFileUploadHandler):
    """Django would write a large file to disk, where its values stay for a moment too long."""

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *_: Any, **__: Any) -> None:  # noqa: N803
        self.activated = content_length <= MOST_BYTES


@dataclass(frozen=True)
class Row:
    """A token that was found. `address`: where it was last used from."""

    token: Token
    status: Status
    address: str

    @property
    def can_end(self) -> bool:
        return self.token.revoked_at is None


@dataclass(frozen=True)
class Deed:
    """What became of a chosen token: ended, with a successor perhaps; or `why` not."""

    token: Token
    successor: Token | None = None
    why: str | None = None


@csrf_exempt
@never_cache
@sensitive_post_parameters()
def desk(request: HttpRequest) -> HttpResponse:
    """Chooses where uploads go before anything reads them, the check for CSRF included."""
    request.upload_handlers = [InMemory(request)]
    return _desk(request)


@csrf_protect
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables()
def _desk(request: HttpRequest) -> HttpResponse:
    principal: Principal = request.principal  # type: ignore[attr-defined]
    if request.method != "POST":
        return render(request, "leaks/desk.html")
    deed = request.POST.get("deed")
    if deed in DEEDS:
        deeds = [DEEDS[deed](principal, token) for token in _seen(principal, _chosen(request))]
        return render(request, "leaks/done.html", {"deeds": deeds})
    text = _text(request)
    if text is None:
        is_large = int(request.META.get("CONTENT_LENGTH") or 0) > MOST_BYTES
        refusal = TOO_LARGE if is_large else NOTHING
        return render(request, "leaks/desk.html", {"refusal": refusal}, status=HTTPStatus.BAD_REQUEST)
    return render(request, "leaks/found.html", _found(principal, leaks.search(text)))


def _text(request: HttpRequest) -> io.BytesIO | None:
    """What was pasted, or the file; None for neither."""
    pasted, file = request.POST.get("text", ""), request.FILES.get("file")
    if file is not None:
        return io.BytesIO(file.read())
    return io.BytesIO(pasted.encode(errors="replace")) if pasted.strip() else None


def _chosen(request: HttpRequest) -> set[UUID]:
    keys = request.POST.getlist("token")[:MOST_TOKENS]
    return {key for key in map(_as_id, keys) if key is not None}


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _seen(principal: Principal, ids: Iterable[UUID]) -> list[Any]:
    """Those of the tokens that one may see."""
    wanted = list(ids)
    return [
        token
        for kind in (APIToken, PersonalAccessToken)
        for token in kind.objects.visible_to(principal)
        .filter(pk__in=wanted)
        .select_related("owner")
        .order_by("pk")
    ]


def _found(principal: Principal, leak: Leak) -> dict[str, Any]:
    tokens = _seen(principal, sorted(leak.ours)[:MOST_TOKENS])
    known, now = standing.standings(tokens), timezone.now()
    used = TokenUsage.objects.recent_addresses([token.pk for token in tokens])
    rows = [
        Row(token, known[token.pk].status(now), next((one["address"] for one in used.get(token.pk, ())), ""))
        for token in tokens
    ]
    can_end = any(row.can_end for row in rows)
    return {"found": leak.found, "others": len(leak.ours) - len(rows), "rows": rows, "can_end": can_end}


def _revoke(principal: Principal, token: Token) -> Deed:
    try:
        return Deed(services.revoke(principal, token, reason=REASON))
    except (PermissionDenied, ObjectDoesNotExist) as refused:
        return Deed(token, why=str(refused) or "It is not yours to end.")


@sensitive_variables()
def _rotate(principal: Principal, token: Token) -> Deed:
    if token.state(timezone.now()) is not State.ACTIVE:
        return Deed(token, why="Only a token that works can be rotated.")
    try:
        return Deed(token, rotation.rotate(principal, token, reason=Reason.LEAK))
    except ValidationError as refused:
        return Deed(token, why=explained(refused))
    except (PermissionDenied, ObjectDoesNotExist) as refused:
        return Deed(token, why=str(refused) or "It is not yours to rotate.")


DEEDS = {"revoke": _revoke, "rotate": _rotate}
