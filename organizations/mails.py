"""What is mailed to people, as plain text and HTML (templates/mail/), once the change is committed."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from organizations.models import Invite

Mail = EmailMultiAlternatives


@sensitive_variables()
def invitation(invite: Invite, link_secret: str, inviter: Any) -> Mail:
    """`inviter`: the person who vouches, or None."""
    return written(
        "invitation",
        invite.recipient,
        {
            "invite": invite,
            "organization": invite.owner.display_name,
            "inviter": inviter,
            "link": f"{settings.PUBLIC_URL}{reverse('invite', args=[link_secret])}",
        },
    )


def post_on_commit(mails: Sequence[Mail]) -> None:
    """All over one connection. A mail server that fails is logged, and the change stands."""

    def post() -> None:
        get_connection().send_messages(list(mails))

    transaction.on_commit(post, robust=True)


@sensitive_variables()
def written(name: str, recipient: str, context: dict[str, Any]) -> Mail:
    """templates/mail/NAME.txt, whose first line is the subject, and NAME.html."""
    subject, _, text = render_to_string(f"mail/{name}.txt", context).partition("\n")
    subject = " ".join(subject.split())
    mail = Mail(subject, f"{text.strip()}\n", to=[recipient], headers={"Auto-Submitted": "auto-generated"})
    mail.attach_alternative(render_to_string(f"mail/{name}.html", context), "text/html")
    return mail
