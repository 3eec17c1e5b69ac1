"""GraphQL names out of Python names: createAPIToken, ownerID, organizationIDs, recentIPAddresses."""

import functools
import re

from strawberry.schema.name_converter import NameConverter
from strawberry.types.enum import EnumValue, StrawberryEnumDefinition

_INITIALISMS = {"id": "ID", "ids": "IDs", "api": "API", "ip": "IP", "sso": "SSO", "csv": "CSV"}


@functools.cache  # strawberry asks for the name of every key of every input object
def camel(name: str) -> str:
    """`recent_ip_addresses` -> `recentIPAddresses`; an initialism in front stays small: `apiTokens`."""
    first, *rest = name.strip("_").split("_")
    return first + "".join(_INITIALISMS.get(word, word.capitalize()) for word in rest)


def snake(name: str) -> str:
    """`APIToken` -> `api_token`, `OrgMembership` -> `org_membership`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Names(NameConverter):
    """Strawberry's converter, with the initialisms of the contract."""

    def apply_naming_config(self, name: str) -> str:
        return camel(name)

    def from_enum_value(self, enum: StrawberryEnumDefinition, enum_value: EnumValue) -> str:
        return enum_value.name
