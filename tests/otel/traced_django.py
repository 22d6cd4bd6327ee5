"""Prints the user on the server's span of an instrumented Django, inside and outside of ours."""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import django
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.trace import SpanKind
from werkzeug.test import Client

from amplify_mw import user_or_none
from amplify_mw.testing import LocalUserPool
from amplify_mw.web.base64url import decode
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.otel.recording import Recording


def root(request: Any) -> HttpResponse:
    return HttpResponse(getattr(user_or_none(), "username", "nobody"))


urlpatterns = [path("", root)]


def main() -> None:
    from django.conf import settings  # not where a search for doctests would read it

    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="not a secret",
        MIDDLEWARE=["amplify_mw.integrations.django.UserMiddleware"],
        INSTALLED_APPS=[],
    )
    recording = Recording()
    DjangoInstrumentor().instrument(tracer_provider=recording.traces)
    django.setup(set_prefix=False)
    with LocalUserPool() as pool:
        pool.add_user("ada")
        telemetry = recording.telemetry(user_on_span="plain")
        config = pool.config(keys=pool.jwks(), telemetry=telemetry)
        inside = AmplifyWSGIMiddleware(get_wsgi_application(), config)
        outside = OpenTelemetryMiddleware(inside, tracer_provider=recording.traces)
        token = pool.sign_in("ada").id_token
        for says, app in (("inside", inside), ("outside", outside)):
            client = Client(app)
            client.set_cookie("amplify-session", token)
            assert client.get("/").text == "ada"
            print(f"{says}: {name_on(recording, token)}")  # noqa: T201
        assert Client(inside).get("/").text == "nobody"
        print(f"nobody: {name_on(recording, token)}")  # noqa: T201


def name_on(recording: Recording, token: str) -> str | None:
    """The user on the one server's span since the last time."""
    sub = json.loads(decode(token.split(".")[1].encode()))["sub"]
    (span,) = [span for span in recording.spans if span.kind is SpanKind.SERVER]
    recording.clear()
    found = (span.attributes or {}).get("user.id")
    assert found in (None, sub)
    return None if found is None else "ada"


if __name__ == "__main__":
    main()
