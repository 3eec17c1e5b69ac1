"""The operators' face: what every admin page of ours does and what it never does.

It never writes a row itself. The form of a page asks the service, as the last step of its validation and in
the transaction the admin has opened; so what only the service can know (the last owner, an expiry in the
past) stands next to its field like any other error. Neighbours: every app's admin.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db import IntegrityError, models, transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse

from organizations.access import Principal, operator
from organizations.scopes import CATALOGUE, UnknownScope, canonical

REFUSALS = (ValidationError, PermissionDenied, ObjectDoesNotExist, IntegrityError)
"""What a service answers instead of doing what it was asked."""


def explained(refusal: Exception) -> dict[str, list[Any]]:
    """Field name (or `__all__`) -> what is wrong with it and what to do."""
    if isinstance(refusal, ValidationError):
        return refusal.update_error_dict({})
    if isinstance(refusal, ObjectDoesNotExist):
        return {"__all__": ["Somebody deleted it meanwhile. Go back to the list."]}
    if isinstance(refusal, IntegrityError):
        return {"__all__": ["Somebody changed the same thing at this moment. Look at it again, then repeat."]}
    return {"__all__": [str(refusal)]}


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A form that is valid when a service has done what it asks; `instance` is then the service's answer."""

    principal: ClassVar[Principal]  # of the request this class was made for: OperatorAdmin.get_form

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for column in self._meta.model._meta.concrete_fields:
            field = self.fields.get(column.name)
            if column.null and isinstance(field, forms.CharField):
                field.empty_value = None  # a text that may be null is null when there is none

    def create(self, values: dict[str, Any]) -> models.Model:
        raise NotImplementedError

    def change(self, record: Any, changes: dict[str, Any]) -> models.Model:
        """`changes` holds the fields that somebody changed, and no others."""
        raise NotImplementedError

    def _post_clean(self) -> None:
        """In place of copying the values to the instance, as a ModelForm does here."""
        if self.errors:
            self._forget_impossible_choices()
            return
        try:
            with transaction.atomic():
                self.instance = self._act()
        except REFUSALS as refusal:
            for name, errors in explained(refusal).items():
                self.add_error(name if name in self.fields else None, errors)

    def _forget_impossible_choices(self) -> None:
        """Django's autocomplete looks a refused choice up again to show it, and fails on what is no id."""
        impossible = {
            self.add_prefix(name)
            for name in self.errors
            if isinstance(self.fields.get(name), forms.ModelChoiceField)
        }
        sent = cast("QueryDict", self.data).copy()
        for name in impossible & sent.keys():
            del sent[name]
        self.data = sent

    def _act(self) -> models.Model:
        if self.instance._state.adding:
            return self.create(self.cleaned_data)
        changes = {name: self.cleaned_data[name] for name in self.changed_data}
        return self.change(self.instance, changes) if changes else self.instance


class ScopesField(forms.MultipleChoiceField):
    """Scopes as boxes to tick, each with what it allows."""

    widget = forms.CheckboxSelectMultiple(attrs={"class": "scopes"})

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=_described(CATALOGUE), required=False, **options)

    def offer(self, stored: Collection[str]) -> None:
        """Offer the scopes something has in the spelling they were sent in, so that saving keeps it."""
        spelled = {_canonical(name): name for name in stored}
        unknown = [name for name in stored if _canonical(name) not in CATALOGUE]
        self.choices = [
            (spelled.get(name, name), label) for name, label in _described((*CATALOGUE, *unknown))
        ]


def _canonical(name: str) -> str:
    try:
        return canonical(name)
    except UnknownScope:
        return name


def _described(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, f"{name}: {CATALOGUE.get(name, 'no longer known, grants nothing')}") for name in names]


class LinesField(forms.CharField):
    """A list of strings, one per line."""

    widget = forms.Textarea(attrs={"rows": 3, "cols": 40})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = (line.strip() for line in (value or "").splitlines())
        return list(dict.fromkeys(line for line in lines if line))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != (initial or []))


class OperatorAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """Lists, forms and deletion of one model, with every write left to services."""

    ordering = ("-id",)
    list_per_page = 50
    view_on_site = False
    form: type[ServiceForm]

    class Media:
        css: ClassVar = {"all": ("operators.css",)}

    def end(self, principal: Principal, record: Any) -> None:
        """Ask the service that deletes."""
        raise NotImplementedError

    def consequences(self, record: Any) -> list[str]:
        """What deleting will do, for the page that asks."""
        return [f"{record} is deleted."]

    def choosable(self, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        """What other pages may choose."""
        return queryset

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[ServiceForm]:
        form = cast("type[ServiceForm]", super().get_form(request, obj, change=change, **kwargs))
        form.principal = operator(request.user)
        return form

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        return form.instance

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Done: the form has asked the service."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Done: the form has asked the service."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.end(operator(request.user), obj)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        """Unreachable while the site offers no bulk deletion; never the queryset's own."""
        for record in queryset:
            self.delete_model(request, record)

    def get_deleted_objects(
        self, objs: Iterable[Any], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """Django would follow the foreign keys; our services leave other rows, or none."""
        return [line for record in objs for line in self.consequences(record)], {}, set(), []

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except (ValidationError, ObjectDoesNotExist, IntegrityError) as refusal:
            for error in explained(refusal).values():
                self.message_user(request, " ".join(ValidationError(error).messages), messages.ERROR)
            return redirect(self.url("change", unquote(object_id)))

    def changelist_view(
        self, request: HttpRequest, extra_context: Mapping[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().changelist_view(request, dict(extra_context or {}))
        except ValidationError:  # an id that is none, in a forged selection
            self.message_user(request, "What was chosen does not exist. Choose again.", messages.ERROR)
            return redirect(request.get_full_path())

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        if request.resolver_match and request.resolver_match.url_name == "autocomplete":
            queryset = self.choosable(queryset)
        return super().get_search_results(request, queryset, search_term)

    def url(self, page: str, *arguments: Any) -> str:
        """The address of a page of this model: changelist, add, change, delete."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=arguments)


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """What nobody adds, changes or deletes here."""

    ordering = ("-id",)
    list_per_page = 50
    view_on_site = False
    show_full_result_count = False  # these tables grow for ever

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
