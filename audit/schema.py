"""Root fields of the audit trail: it is read, never written."""

import strawberry

from audit import models, types  # noqa: F401 (types registers what the fields answer)
from config.graphql import connection
from config.graphql.mutations import single
from config.graphql.policy import scoped


@strawberry.type
class Query:
    events = connection.field(models.Event, directives=scoped("read:events"))
    event = single(models.Event, directives=scoped("read:events"))
