"""What tokens do when somebody leaves an organization."""

from typing import Any

from django.db.models.signals import post_delete
from django.dispatch import receiver

from organizations.models import OrgMembership
from tokens.models import PersonalAccessToken


@receiver(post_delete, sender=OrgMembership)
def forget_organization(*, instance: OrgMembership, **_: Any) -> None:
    """Whoever leaves takes their tokens out of the organization: joining again does not let them back in.

    The membership itself decides from the next request on; this is about a later one. The owner lets a token
    in again with addOrganizationIDs.
    """
    left = {"organization_id": instance.organization_id}
    chosen = PersonalAccessToken.organizations.through._default_manager
    chosen.filter(personalaccesstoken__owner=instance.user_id, **left).delete()
    lost = PersonalAccessToken.lost_organizations.through
    lost._default_manager.bulk_create(
        [
            lost(personalaccesstoken_id=token_id, **left)
            for token_id in PersonalAccessToken.objects.live()
            .filter(owner=instance.user_id, covers_all_organizations=True)
            .values_list("pk", flat=True)
        ],
        ignore_conflicts=True,
    )
