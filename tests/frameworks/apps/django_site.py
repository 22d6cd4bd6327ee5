"""Django in one file, for both kinds of server."""

from typing import Any

import django
import shared
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.wsgi import AmplifyWSGIMiddleware

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="not a secret",
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        "amplify_mw.integrations.django.AuthErrorMiddleware",
    ],
)
django.setup(set_prefix=False)


def whoami(request: Any) -> JsonResponse:
    body, status = shared.profile()
    return JsonResponse(body, status=status)


async def awaited(request: Any) -> JsonResponse:
    body, status = await shared.awaited_profile()
    return JsonResponse(body, status=status)


async def awaited_escape(request: Any, rest: str) -> HttpResponse:
    return HttpResponse((await shared.aio.get_current_user()).username)


def says(function: Any) -> Any:
    return lambda request, rest="": HttpResponse(function())


def stream(request: Any) -> StreamingHttpResponse:
    is_async = isinstance(request, ASGIRequest)
    chunks = shared.awaited_names() if is_async else shared.names()
    return StreamingHttpResponse(chunks, content_type="text/plain")


urlpatterns = [
    path("whoami", whoami),
    path("private/page", whoami),
    path("async", awaited),
    path("escape/<path:rest>", says(shared.name)),
    path("awaited-escape/<path:rest>", awaited_escape),
    path("publish", says(shared.publish)),
    path("thread", says(shared.name_on_a_thread)),
    path("static/name", says(shared.name_or_outside)),
    path("static/refuse", says(shared.refuse)),
    path("stream", stream),
]

wsgi = AmplifyWSGIMiddleware(get_wsgi_application(), shared.config)
asgi = AmplifyASGIMiddleware(get_asgi_application(), shared.config)
wsgi_bearer = AmplifyWSGIMiddleware(get_wsgi_application(), shared.config, bearer=True)
asgi_bearer = AmplifyASGIMiddleware(get_asgi_application(), shared.config, bearer=True)
