"""What text people may give to things. Neighbours: the models of every app."""

import unicodedata

from django.core.exceptions import ValidationError
from django.core.validators import DomainNameValidator

# Cc: control characters (CR, LF, NUL, ESC). Cf: format characters, among them U+202E, which turns the
# reading direction of a log line or a page. Cs: lone surrogates, which PostgreSQL cannot store.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs"})
_ALLOWED = frozenset("\n\t\u200c\u200d")  # line breaks in descriptions; joiners that scripts and emoji need

MOST_DOMAINS = 100
_domain = DomainNameValidator(accept_idna=False)


def validate_plain_text(value: str) -> None:
    """Raises ValidationError when the text holds control or direction-changing characters."""
    for character in value:
        if unicodedata.category(character) in _UNPRINTABLE and character not in _ALLOWED:
            raise ValidationError(
                "Remove the control character U+%(codepoint)s.",
                code="control_character",
                params={"codepoint": f"{ord(character):04X}"},
            )


def validate_single_line(value: str) -> None:
    """As validate_plain_text, and no line breaks. Raises ValidationError."""
    validate_plain_text(value)
    if "\n" in value or "\t" in value:
        raise ValidationError("Write it on one line, without tabs.", code="control_character")


def validate_domains(names: list[str]) -> None:
    """Domains as they stand in an e-mail address, at most MOST_DOMAINS. Raises ValidationError."""
    if len(names) > MOST_DOMAINS:
        raise ValidationError(f"At most {MOST_DOMAINS} domains; these are {len(names)}.")
    for name in names:
        try:
            _domain(name)
        except ValidationError:
            raise ValidationError(
                "%(name)s is no domain. Write it as example.org, without @ and in ASCII.",
                code="no_domain",
                params={"name": repr(name[:80])},
            ) from None
