"""People on the wire."""

from __future__ import annotations

from accounts import models
from config.graphql.generate import node


@node(
    models.User,
    exclude=("password", "last_login", "is_superuser", "is_staff", "is_active"),
    order=("created_at", "updated_at", "first_name", "last_name", "display_name"),
)
class User:
    """A person"""

    display_name: str
