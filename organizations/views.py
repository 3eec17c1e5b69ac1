"""HTTP endpoints beside GraphQL."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from organizations.scopes import by_object


@require_GET
def scopes(request: HttpRequest) -> JsonResponse:
    """The catalogue: `{"success": true, "scopes": {object: [verbs]}}`; bare verbs stand under `*`."""
    return JsonResponse({"success": True, "scopes": by_object()})
