"""The operators' site: what stock Django would do past the services, it does not do."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse


class OperatorSite(admin.AdminSite):
    site_header = "Tollgate operators"
    site_title = "Tollgate operators"
    index_title = "What there is"
    enable_nav_sidebar = False  # the lists need the width

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.disable_action("delete_selected")

    def password_change(  # type: ignore[override]  # a redirect, too, as Django's own
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        from accounts.forms import OwnPasswordForm  # not at the top: this site is made while apps load

        request.current_app = self.name  # type: ignore[attr-defined]  # as Django's own does
        return PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )(request)
