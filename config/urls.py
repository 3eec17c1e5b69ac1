"""Every address of the service."""

from django.contrib import admin
from django.urls import include, path

from accounts import views as accounts
from config import health, pages
from config.graphql.view import GraphQLView
from config.schema import schema
from organizations import views as organizations
from tokens import secret
from tokens.authentication import refuse, unauthenticated
from tokens.desk import desk

graphql = GraphQLView(schema._schema, unauthenticated, refuse, secret.PATTERN)

urlpatterns = [
    path("query", graphql, name="query"),
    path("graphql", pages.in_browsers(graphql), name="graphql"),
    path("v1/scopes", organizations.scopes),
    path("v1/", include("tokens.urls")),
    path("v1/login", accounts.LogIn.as_view()),
    path("v1/logout", accounts.LogOut.as_view()),
    path("invite/<str:secret>/", pages.under_policy(accounts.Invitation.as_view()), name="invite"),
    path("leaks/", pages.under_policy(desk), name="leaks"),
    path("", pages.graphiql),
    path("login/", pages.Login.as_view(), name="login"),
    path("logout/", pages.Logout.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("livez", health.livez),
    path("readyz", health.readyz),
]

handler400 = "config.refusals.bad_request"
handler403 = "config.refusals.permission_denied"
handler404 = "config.refusals.page_not_found"
handler500 = "config.refusals.server_error"
