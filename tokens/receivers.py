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
    PersonalAccessToken.objects.filter(owner=instance.user_id).forget(instance.organization_id)
