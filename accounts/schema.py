"""Root fields about people: oneself, and those one shares an organization with."""

from typing import Any

import strawberry
from strawberry.types.info import Info

from accounts import models, services, types  # noqa: F401 (types registers what the fields answer)
from config.graphql import bulk, connection, selection
from config.graphql.inputs import with_appended
from config.graphql.mutations import root_field, single, update
from config.graphql.policy import authenticated, scoped
from config.graphql.registry import NODES
from organizations.access import Principal, Unauthorized


def oneself(info: Info) -> Any:
    """The caller, out of the row that authenticated them; what hangs on it is loaded as for any row.

    Raises Unauthorized for an API token.
    """
    principal = info.context.principal
    if principal.user is None:
        raise Unauthorized("An API token is no person. Ask viewer { kind id label organizations { id } }.")
    raw, node = info._raw_info, NODES[models.User]
    wanted = selection.plan(raw, node, raw.field_nodes)
    selection.complete([principal.user], wanted, principal)
    return principal.user


def _self(description: str) -> Any:
    return root_field(oneself, {}, "User", {"description": description, "directives": authenticated()})


@strawberry.type
class Query:
    me = _self("The person who asks")
    self = _self("The person who asks")
    user = single(models.User, directives=scoped("read:members"))
    users = connection.field(models.User, directives=scoped("read:members"))
    user_settings = connection.field(models.UserSetting, directives=authenticated())
    user_setting = single(models.UserSetting, directives=authenticated())


def update_user(principal: Principal, user: models.User, changes: dict[str, Any]) -> models.User:
    return services.update_own_profile(principal, user, with_appended(user, changes))


def update_setting(
    principal: Principal, setting: models.UserSetting, changes: dict[str, Any]
) -> models.UserSetting:
    return services.update_own_setting(principal, setting, with_appended(setting, changes))


@strawberry.type
class Mutation:
    # The services ask whether it is the person themselves.
    update_user = update(models.User, update_user, directives=authenticated())
    update_user_setting = update(models.UserSetting, update_setting, directives=authenticated())
    update_bulk_user_setting = bulk.update(models.UserSetting, update_setting, directives=authenticated())
    update_bulk_csv_user_setting = bulk.update_from_csv(
        models.UserSetting, update_setting, directives=authenticated()
    )
