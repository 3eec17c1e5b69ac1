"""How somebody comes to be a member, and what holds of members as a whole: ranks, and one owner at least.

Not services: what services.py and invitations.py do under their own `require`, and tell the trail themselves.
"""

from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from organizations.access import RANK, Principal, Unauthorized
from organizations.models import Organization, OrgMembership, Role


def join(principal: Principal, organization: Organization, user_id: UUID, role: str) -> OrgMembership:
    """A new membership, for services that announce it. Raises as add_member(); asks nobody's leave."""
    people = get_user_model()._default_manager.get_queryset()
    if not principal.is_trusted and user_id != getattr(principal.user, "pk", None):
        people = people.visible_to(principal)  # type: ignore[attr-defined]
    user = people.get(pk=user_id)
    if not organization.setting.admits(user.get_username()):
        raise ValidationError({"user": "The organization does not allow this person's e-mail domain."})
    membership = OrgMembership(
        organization=organization,
        user=user,
        role=role,
        created_by=principal.id,
        updated_by=principal.id,
    )
    membership.full_clean()
    membership.save()
    return membership


def hand_over(principal: Principal, organization: Organization, owner_id: UUID, heir: OrgMembership) -> None:
    """`heir` becomes an owner, the owner an admin; under lock_members(). Raises Unauthorized for no owner."""
    former = organization.members.filter(user=owner_id, role=Role.OWNER).first()
    if former is None:
        raise Unauthorized("Only an owner can hand an organization over.").at(organization.id)
    for membership, role in ((heir, Role.OWNER), (former, Role.ADMIN)):
        membership.role, membership.updated_by = role, principal.id
        membership.full_clean()
        membership.save()


def require_rank(principal: Principal, organization_id: UUID, *roles: str) -> None:
    """Nobody grants or takes a role above their own. Raises Unauthorized, ValidationError for none."""
    if unknown := [role for role in roles if role not in Role.values]:
        raise ValidationError({"role": f"There is no role {unknown[0]!r}. Known: {', '.join(Role.values)}."})
    if principal.is_trusted:
        return
    own = principal.grants[organization_id].role
    if own is None or any(RANK[role] > RANK[own] for role in roles):
        message = "Nobody grants or takes a role above their own, and a token of the organization has none."
        raise Unauthorized(f"{message} Ask an owner.").at(organization_id)


def lock_members(organization_id: UUID) -> Organization:
    """Hold the organization until the transaction ends: two owners who demote each other at once must not
    leave none. Raises DoesNotExist for a deleted one.
    """
    rows = Organization.objects.live().select_related("setting")
    return rows.select_for_update(no_key=True, of=("self",)).get(pk=organization_id)


def require_another_owner(membership: OrgMembership) -> None:
    """Raises ValidationError for the last owner who can log in."""
    owners = OrgMembership.objects.filter(
        organization_id=membership.organization_id, role=Role.OWNER, user__is_active=True
    )
    if membership.role == Role.OWNER and not owners.exclude(id=membership.id).exists():
        raise ValidationError(
            {"role": "The last owner cannot leave or be demoted. Make somebody else an owner first."}
        )
