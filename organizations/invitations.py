"""Invitations: how somebody who is no member yet becomes one, by a link that only their mailbox received.

The link's secret has 256 bits and is nowhere but in the mail; its row keeps a keyed digest. Whoever invited
vouches until the end: what they may no longer grant, their invitation no longer gives. Neighbours:
services.py (members), mails.py (what is written), accounts/views.py (the page behind the link).
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables

from organizations import mails
from organizations.access import RANK, Principal, grants_of, require, require_person, writing
from organizations.changes import announce, require_known, rewrite
from organizations.membership import hand_over, join, lock_members, require_rank
from organizations.models import (
    Group,
    GroupMembership,
    Invite,
    InviteStatus,
    Organization,
    OrgMembership,
    Role,
)
from organizations.scopes import covers, held

MANAGE = "admin:members"
MOST_SENDINGS = 5
MOST_AT_ONCE = 100
SALT = "organizations.invitations"


class InvitationClosed(ValidationError):
    """It was there, and cannot be accepted any more."""


class InvitationForOthers(PermissionDenied):
    """Somebody else's address is on it."""


def invite(principal: Principal, **asked: Any) -> Invite:
    """Mail a link to an address. Keywords and exceptions of invite_many(), for one."""
    return invite_many(principal, [asked])[0]


def invite_many(principal: Principal, asked: Iterable[Mapping[str, Any]]) -> list[Invite]:
    """Mail a link to each of several addresses, or to none of them. Each item, taken when the one before is
    done:

    organization_id, recipient; role (MEMBER), group_ids, ownership_transfer (the role is then OWNER),
    expires (at most INVITATION_DAYS ahead), tags.

    Raises ValidationError (a member already, invited already, an address that is none or not allowed),
    Unauthorized for a role above one's own, Group.DoesNotExist, and as require().
    """
    sent: list[tuple[Invite, mails.Mail]] = []
    with writing(principal):
        for one in asked:
            if len(sent) == MOST_AT_ONCE:
                raise ValidationError(f"Invite at most {MOST_AT_ONCE} people at once.")
            sent.append(_invite(principal, **one))
        mails.post_on_commit([mail for _, mail in sent])
    return [invitation for invitation, _ in sent]


@sensitive_variables("link_secret")
def resend(principal: Principal, invitation: Invite) -> Invite:
    """Mail a new link; the former one ends. Whoever asks now vouches for it. At most MOST_SENDINGS mails.

    Raises ValidationError when it was accepted or mailed too often, Unauthorized as invite().
    """
    require(principal, MANAGE, invitation.owner_id)
    now, link_secret = timezone.now(), new_secret()
    with writing(principal):
        organization, invitation = _locked(invitation)
        _require_grantable(principal, invitation, invitation.role, _groups_of(invitation))
        _require_open(invitation)
        if invitation.send_attempts >= MOST_SENDINGS:
            raise ValidationError(
                {"send_attempts": f"It was mailed {MOST_SENDINGS} times. Withdraw it and invite anew."}
            )
        invitation.send_attempts += 1
        invitation.status = InviteStatus.INVITATION_SENT
        invitation.digest, invitation.expires = digest(link_secret), _latest(now)
        invitation.requestor_id, invitation.updated_by = _voucher(principal), principal.id
        invitation.full_clean()
        invitation.save()
        announce(
            principal,
            "invite.resent",
            invitation,
            organization.id,
            send_attempts=[invitation.send_attempts - 1, invitation.send_attempts],
        )
        mails.post_on_commit([mails.invitation(invitation, link_secret, inviter_of(invitation))])
    return invitation


def update_invitation(principal: Principal, invitation: Invite, changes: Mapping[str, Any]) -> Invite:
    """Keys: role, tags, add_group_ids, remove_group_ids. Who asks now vouches. Raises as invite()."""
    require(principal, MANAGE, invitation.owner_id)
    require_known(changes, {"role", "tags", "add_group_ids", "remove_group_ids"})
    columns = {name: value for name, value in changes.items() if name in ("role", "tags")}
    with writing(principal):
        organization, invitation = _locked(invitation)
        _require_open(invitation)
        before = _groups_of(invitation)
        added = _groups(organization.id, changes.get("add_group_ids", ()))
        removed = {str(group_id) for group_id in changes.get("remove_group_ids", ())}
        after = [group for group in {*before, *added} if str(group.pk) not in removed]
        require_rank(principal, organization.id, invitation.role)
        _require_grantable(principal, invitation, columns.get("role", invitation.role), after)
        difference = rewrite(principal, invitation, columns)
        if set(before) != set(after):
            invitation.groups.set(after)
            difference["groups"] = [_names(before), _names(after)]
        if difference:
            invitation.requestor_id = _voucher(principal)
            invitation.save(update_fields=["requestor_id", "updated_at"])
            announce(principal, "invite.updated", invitation, organization.id, **difference)
    return invitation


def withdraw(principal: Principal, invitation: Invite) -> UUID:
    """The link stops working, and the address can be invited anew. Raises Unauthorized as invite()."""
    require(principal, MANAGE, invitation.owner_id)
    invitation_id = invitation.id
    with writing(principal):
        _, invitation = _locked(invitation)
        require_rank(principal, invitation.owner_id, invitation.role)
        announce(
            principal,
            "invite.deleted",
            invitation,
            invitation.owner_id,
            role=invitation.role,
            status=invitation.status,
        )
        invitation.delete()
    return invitation_id


def expire_invitations(principal: Principal) -> int:
    """Mark those whose time is up, so that lists say so; how many. For a command, now and then."""
    require(principal, MANAGE, None)
    now = timezone.now()
    over = Invite.objects.pending().filter(expires__lte=now).values_list("pk", flat=True)
    return sum(_mark_expired(principal, invitation_id, now) for invitation_id in list(over))


@sensitive_variables("link_secret")
def opened(link_secret: str) -> Invite:
    """The invitation behind a link. Raises Invite.DoesNotExist (unknown or withdrawn), InvitationClosed."""
    rows = Invite.objects.select_related("owner", "owner__setting")
    invitation = rows.get(digest__in=digests(link_secret), owner__deleted_at__isnull=True)
    if invitation.status == InviteStatus.INVITATION_ACCEPTED:
        raise InvitationClosed("This invitation has been accepted already. Log in.", code="accepted")
    if invitation.is_over(timezone.now()):
        raise InvitationClosed("This invitation has expired. Ask for a new one.", code="expired")
    return invitation


@sensitive_variables("link_secret")
def accept(principal: Principal, link_secret: str) -> OrgMembership:
    """Become a member, with the role and the groups the invitation gives. By a session alone.

    Raises as opened(); InvitationForOthers for another address than one's own; InvitationClosed when
    whoever invited may no longer grant it; ValidationError for a member or a domain that is not allowed.
    """
    user_id = require_person(principal, None)
    with writing(principal):
        organization, invitation = _locked(opened(link_secret))
        opened(link_secret)  # again, now that nobody else can accept, withdraw or send it
        if principal.user.get_username() != invitation.recipient:
            raise InvitationForOthers("This invitation is for another e-mail address than yours.")
        groups = _groups_of(invitation)
        inviter = inviter_of(invitation)
        _require_vouched(invitation, inviter, groups)
        membership = join(
            principal,
            organization,
            user_id,
            Role.ADMIN if invitation.ownership_transfer else invitation.role,
        )
        if invitation.ownership_transfer:
            hand_over(principal, organization, inviter.pk, membership)
        _enter(membership, groups)
        invitation.status = InviteStatus.INVITATION_ACCEPTED
        invitation.updated_by = principal.id
        invitation.save()
        announce(
            principal,
            "invite.accepted",
            invitation,
            organization.id,
            subject_id=user_id,
            role=membership.role,
            groups=_names(groups),
            **({"owner": [str(inviter), principal.label]} if invitation.ownership_transfer else {}),
        )
    return membership


# --- the secret of a link ----------------------------------------------------------------------------


def new_secret() -> str:
    return secrets.token_urlsafe(32)


@sensitive_variables()
def digest(link_secret: str) -> bytes:
    """HMAC-SHA-256 under a key derived from SECRET_KEY for this purpose alone."""
    return digests(link_secret)[0]


@sensitive_variables()
def digests(link_secret: str) -> list[bytes]:
    """The digests under which it may be stored, one per SECRET_KEY that still counts."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [salted_hmac(SALT, link_secret, secret=key, algorithm="sha256").digest() for key in keys]


# --- steps ---------------------------------------------------------------------------------------------


@sensitive_variables("link_secret")
def _invite(
    principal: Principal,
    *,
    organization_id: UUID,
    recipient: str,
    role: str = Role.MEMBER,
    group_ids: Collection[UUID] = (),
    ownership_transfer: bool = False,
    expires: datetime | None = None,
    tags: Collection[str] = (),
) -> tuple[Invite, mails.Mail]:
    require(principal, MANAGE, organization_id)
    now, link_secret = timezone.now(), new_secret()
    organization = lock_members(organization_id)
    groups = _groups(organization_id, group_ids)
    invitation = Invite(
        owner=organization,
        recipient=recipient.lower(),
        role=Role.OWNER if ownership_transfer else role,
        ownership_transfer=ownership_transfer,
        expires=expires or _latest(now),
        digest=digest(link_secret),
        requestor_id=_voucher(principal),
        tags=list(tags),
        created_by=principal.id,
        updated_by=principal.id,
    )
    _require_grantable(principal, invitation, invitation.role, groups)
    _require_welcome(organization, invitation, now)
    for former in organization.invites.pending().filter(recipient=invitation.recipient, expires__lte=now):
        _mark_expired(principal, former.pk, now)
    invitation.full_clean()
    invitation.save()
    invitation.groups.set(groups)
    announce(
        principal,
        "invite.created",
        invitation,
        organization_id,
        role=invitation.role,
        groups=_names(groups),
        ownership_transfer=ownership_transfer,
    )
    return invitation, mails.invitation(invitation, link_secret, inviter_of(invitation))


def _latest(now: datetime) -> datetime:
    return now + timedelta(days=settings.INVITATION_DAYS)


def _locked(invitation: Invite) -> tuple[Organization, Invite]:
    """The organization, then the invitation, as they are now, held until the transaction ends."""
    organization = lock_members(invitation.owner_id)
    rows = Invite.objects.select_related("owner").select_for_update(no_key=True, of=("self",))
    return organization, rows.get(pk=invitation.pk)


def _groups(organization_id: UUID, group_ids: Collection[UUID]) -> list[Group]:
    """Raises Group.DoesNotExist when one is not the organization's."""
    groups = list(Group.objects.filter(owner=organization_id, pk__in=group_ids))
    if len(groups) != len({str(one) for one in group_ids}):
        raise Group.DoesNotExist
    return groups


def _groups_of(invitation: Invite) -> list[Group]:
    return list(invitation.groups.filter(owner=invitation.owner_id))


def _names(groups: Collection[Group]) -> list[str]:
    return sorted(group.name for group in groups)


def _require_grantable(
    principal: Principal, invitation: Invite, role: str, groups: Collection[Group]
) -> None:
    """An invitation gives nothing that its sender could not give directly. Raises Unauthorized."""
    organization_id = invitation.owner_id
    require_rank(principal, organization_id, role)
    if invitation.ownership_transfer:
        require(principal, MANAGE, organization_id, owner_only=True)
        require_person(principal, MANAGE)
    for scope in _scopes_given(groups):
        require(principal, scope, organization_id)


def _scopes_given(groups: Collection[Group]) -> set[str]:
    """What it takes to put somebody into these groups."""
    given = {scope for group in groups for scope in held(group.scopes)}
    return given | {"admin:groups"} if groups else set()


def _voucher(principal: Principal) -> str | None:
    """The person who vouches; None for operators and commands, who vouch once."""
    return None if principal.is_trusted else principal.id


def inviter_of(invitation: Invite) -> Any:
    """The person who vouches for it, or None."""
    if invitation.requestor_id is None:
        return None
    return get_user_model()._default_manager.filter(pk=invitation.requestor_id).first()


def _require_vouched(invitation: Invite, inviter: Any, groups: Collection[Group]) -> None:
    """What a person offered they must still be able to give. Raises InvitationClosed."""
    if inviter is None and not invitation.ownership_transfer:
        return
    here = grants_of([inviter.pk])[inviter.pk].get(invitation.owner_id) if inviter else None
    may = (
        here is not None
        and here.role is not None
        and inviter.is_active
        and RANK[here.role] >= RANK[invitation.role]
        and all(covers(here.scopes, scope) for scope in {MANAGE, *_scopes_given(groups)})
    )
    if not may:
        raise InvitationClosed(
            "Whoever sent this invitation may no longer give what it offers. Ask for a new one.",
            code="unvouched",
        )


def _require_welcome(organization: Organization, invitation: Invite, now: datetime) -> None:
    """Raises ValidationError for an address that cannot join, and for a time out of bounds."""
    if not organization.setting.admits(invitation.recipient):
        raise ValidationError({"recipient": "The organization does not allow this e-mail domain."})
    if organization.members.filter(user__email=invitation.recipient).exists():
        raise ValidationError(
            {"recipient": ValidationError("This person is a member already.", code="unique")}
        )
    if invitation.expires is None or not now < invitation.expires <= _latest(now):
        raise ValidationError(
            {"expires": f"Give a time in the future, at most {settings.INVITATION_DAYS} days ahead."}
        )


def _require_open(invitation: Invite) -> None:
    if invitation.status == InviteStatus.INVITATION_ACCEPTED:
        raise ValidationError({"status": "It has been accepted. Change the member instead."})


def _enter(membership: OrgMembership, groups: Collection[Group]) -> None:
    for group in groups:
        by = {"created_by": membership.created_by, "updated_by": membership.created_by}
        entry = GroupMembership(group=group, membership=membership, user_id=membership.user_id, **by)
        entry.full_clean()
        entry.save()


def _mark_expired(principal: Principal, invitation_id: UUID, now: datetime) -> bool:
    """Whether this call was the one that marked it."""
    with writing(principal):
        marked = Invite.objects.pending().filter(pk=invitation_id, expires__lte=now)
        was_first = marked.update(status=InviteStatus.INVITATION_EXPIRED, updated_at=now)
        if was_first:
            invitation = Invite.objects.select_related("owner").get(pk=invitation_id)
            announce(principal, "invite.expired", invitation, invitation.owner_id)
    return bool(was_first)
