"""`amplify_client.django` and its like: Django's own test clients, through the middleware.

Django has one set of settings in a process, so the tests are those of a project of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CONFTEST = """
import os

import django
from django.test.utils import setup_test_environment

pytest_plugins = ["amplify_mw.testing.plugin"]
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
setup_test_environment()
"""

SETTINGS = """
SECRET_KEY = "for these tests"
ROOT_URLCONF = "site_urls"
WSGI_APPLICATION = "site_wsgi.application"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "amplify_mw.integrations.django.UserMiddleware",
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": ["."]}]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "amplify_mw.integrations.django.rest_framework.AmplifyAuthentication"
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
"""

WSGI = """
from django.core.wsgi import get_wsgi_application

from amplify_mw import AmplifyConfig, CookiePolicy, StoredSession
from amplify_mw.stores import MemoryStore
from amplify_mw.wsgi import AmplifyWSGIMiddleware

config = AmplifyConfig(
    user_pool_id="eu-west-1_Ab12Cd34E",
    client_id="web",
    protect=["/private/*"],
    session=StoredSession(MemoryStore()),
    cookie=CookiePolicy.host_prefixed(),
)
application = AmplifyWSGIMiddleware(get_wsgi_application(), config)
"""

URLS = """
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import path
from rest_framework.decorators import api_view
from rest_framework.response import Response

from amplify_mw import end_session, get_current_user, require_auth, user_or_none


def page(request):
    return render(request, "page.html", {"reader": user_or_none()})


def stream(request):
    def names():
        yield get_current_user().username
        yield "!"
    return StreamingHttpResponse(names())


async def async_stream(request):
    async def names():
        yield get_current_user().username
        yield "!"
    return StreamingHttpResponse(names())


@require_auth(groups=["editors"])
def reports(request):
    return HttpResponse("all reports")


def away(request):
    response = HttpResponseRedirect("/private/page")
    response.set_cookie("seen", "1", max_age=60)
    return response


def out(request):
    end_session(allow_cross_site=True)
    return HttpResponse("out")


def broken(request):
    raise LookupError("a fault of the app")


@login_required
def who(request):
    return HttpResponse(request.user.get_username())


@api_view(["GET", "POST"])
def api(request):
    return Response({"user": request.user.get_username(), "sent": request.data})


urlpatterns = [
    path("api", api),
    path("page", page),
    path("private/page", page),
    path("stream", stream),
    path("async-stream", async_stream),
    path("reports", reports),
    path("away", away),
    path("out", out),
    path("broken", broken),
    path("who", who),
]
"""

TESTS = """
import asyncio

import pytest
from django.test import AsyncClient, Client, RequestFactory, SimpleTestCase, override_settings
from rest_framework.test import APIClient
from site_wsgi import application

from amplify_mw import ConfigurationError

COOKIE = "__Host-amplify-session"


def test_the_client_is_djangos_and_so_is_the_response(amplify_client):
    client = amplify_client.django("ada")
    assert isinstance(client, Client)
    response = client.get("/page")
    assert response.context["reader"].username == "ada"
    SimpleTestCase().assertTemplateUsed(response, "page.html")
    SimpleTestCase().assertContains(response, "Hello ada")
    assert response.wsgi_request.path == "/page"
    assert response.resolver_match.func.__name__ == "page"
    assert response.client is client
    assert response.headers["Vary"] == "Cookie"
    assert response.headers["Cache-Control"] == "private"


def test_the_middleware_answers_visitors(amplify_client):
    response = amplify_client.django().get("/private/page")
    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == 401
    assert response.wsgi_request.path == "/private/page"
    assert response.context is None
    assert response.templates == []


def test_groups_count(amplify_client):
    assert amplify_client.django("ada", groups=["editors"]).get("/reports").status_code == 200
    assert amplify_client.django("grace").get("/reports").status_code == 403


def test_a_redirect_is_followed_with_all_cookies(amplify_client):
    client = amplify_client.django("ada")
    response = client.get("/away", follow=True)
    assert response.redirect_chain == [("/private/page", 302)]
    assert response.context["reader"].username == "ada"
    assert client.cookies["seen"]["max-age"] == 60


def test_a_sign_out_counts(amplify_client):
    client = amplify_client.django("ada")
    response = client.post("/out")
    assert response.cookies[COOKIE]["max-age"] == "0" or response.cookies[COOKIE]["max-age"] == 0
    assert COOKIE not in client.cookies
    assert client.get("/private/page").status_code == 401


def test_a_fault_of_a_view_is_raised(amplify_client):
    client = amplify_client.django("ada")
    with pytest.raises(LookupError, match="a fault of the app"):
        client.get("/broken")
    client.raise_request_exception = False
    assert client.get("/broken").status_code == 500


def test_a_stream_has_its_user(amplify_client):
    client = amplify_client.django("ada")
    response = client.get("/stream")
    assert response.streaming
    assert b"".join(response.streaming_content) == b"ada!"
    assert client.get("/stream").getvalue() == b"ada!"


def test_djangos_own_sign_in_goes_beside(amplify_client):
    from django.contrib.auth.models import User

    client = amplify_client.django("ada")
    user = User(pk=1, username="admin")
    user.save = lambda **_: None
    client.force_login(user)
    assert "sessionid" in client.cookies
    assert client.get("/page").context["reader"].username == "ada"


def test_djangos_user_is_the_signed_in_one(amplify_client):
    client = amplify_client.django("ada")
    assert client.get("/who").content == b"ada"
    client.logout()
    assert client.get("/who").status_code == 302


def test_the_asynchronous_client(amplify_client):
    async def visit():
        ada = amplify_client.django_async("ada", groups=["editors"])
        assert isinstance(ada, AsyncClient)
        nobody = amplify_client.django_async()
        page, stream = await ada.get("/page"), await ada.get("/async-stream")
        assert page.context["reader"].username == "ada"
        assert page.asgi_request.path == "/page"
        assert [chunk async for chunk in stream.streaming_content] == [b"ada", b"!"]
        assert (await ada.get("/stream")).status_code == 200
        assert (await ada.get("/reports")).content == b"all reports"
        refused = await nobody.get("/private/page")
        assert (refused.status_code, refused.json()["status"]) == (401, 401)
        with pytest.raises(LookupError):
            await ada.get("/broken")
        assert (await ada.post("/out")).content == b"out"
        assert (await ada.get("/private/page")).status_code == 401

    asyncio.run(visit())


def test_rest_frameworks_client(amplify_client):
    client = amplify_client.drf("ada")
    assert isinstance(client, APIClient)
    assert client.get("/page").context["reader"].username == "ada"
    answer = client.post("/api", {"item": "tea"}, format="json")
    assert answer.data == {"user": "ada", "sent": {"item": "tea"}}
    assert amplify_client.drf().get("/api").status_code == 401
    client.credentials(HTTP_X_EXTRA="1")
    assert client.get("/page").wsgi_request.headers["X-Extra"] == "1"
    client.force_authenticate(user=object())
    assert client.handler._force_user is not None


def test_an_application_can_be_given(amplify_client):
    with override_settings(WSGI_APPLICATION=None):
        client = amplify_client.django("ada", app=application)
        assert client.get("/page").context["reader"].username == "ada"
        with pytest.raises(ConfigurationError, match="neither WSGI_APPLICATION nor ASGI"):
            amplify_client.django("ada")


def test_a_project_without_the_middleware_is_told_the_line(amplify_client):
    with override_settings(WSGI_APPLICATION="django.core.wsgi.get_wsgi_application"):
        with pytest.raises(ConfigurationError) as told:
            amplify_client.django("ada")
    assert "application = AmplifyWSGIMiddleware(get_wsgi_application(), config)" in str(told.value)
"""
FILES = {
    "conftest.py": CONFTEST,
    "settings.py": SETTINGS,
    "site_wsgi.py": WSGI,
    "site_urls.py": URLS,
    "test_site.py": TESTS,
    "page.html": "Hello {{ reader.username }}",
}


def names() -> list[str]:
    return [
        line.removeprefix("def ").partition("(")[0]
        for line in TESTS.splitlines()
        if line.startswith("def test_")
    ]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of the project."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null"]
    command += ["--disable-plugin-autoload", "-W", "error", "-v", f"--rootdir={folder}"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("name", names())
def test_in_a_project(outcome: str, name: str) -> None:
    assert f"::{name} PASSED" in outcome, outcome
