"""The addresses of views.py, below /v1/."""

from django.urls import path

from tokens import views

urlpatterns = [
    path("tokens/revoke", views.revoke),
    path("leaks", views.report),
]
