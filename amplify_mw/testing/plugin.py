"""A pytest plugin: `pytest_plugins = ["amplify_mw.testing.plugin"]` in the top `conftest.py`."""

from collections.abc import Iterator

import pytest

from .clients.clients import SignedInClients
from .pool.pool import LocalUserPool


@pytest.fixture
def amplify_pool() -> Iterator[LocalUserPool]:
    """A user pool like Amazon Cognito's, of this test's own, on 127.0.0.1, without users.
    An app that the test builds gets `amplify_pool.config()`; one that is there already comes to it
    with its first `amplify_client`.
    """
    with LocalUserPool() as pool:
        yield pool


@pytest.fixture
def amplify_client(amplify_pool: LocalUserPool) -> Iterator[SignedInClients]:
    """Signed-in test clients of your framework, through your app's own middleware:
    amplify_client.flask(app, "ada", groups=["editors"])      app.test_client()
    amplify_client.starlette(app, "ada")                      TestClient(app)
    amplify_client.fastapi(app, "ada")                        TestClient(app)
    amplify_client.django("ada")                              django.test.Client()
    amplify_client.django_async("ada")                        django.test.AsyncClient()
    amplify_client.drf("ada")                                 APIClient()
    amplify_client.httpx(app, "ada")                          AsyncClient, or Client of a WSGI app
    amplify_client.wsgi(app, "ada")                           werkzeug.test.Client(app)
    amplify_client.browser(page, app, "ada")                  Playwright's page
    amplify_client.serve(app)                                 the address of a server for it
    amplify_client.cookies(app, "ada")                        for any other client

    A new user is added to `amplify_pool`. Without a name the client is a visitor's. Until
    the test is over the app takes its keys and tokens from `amplify_pool`.
    """
    with SignedInClients(amplify_pool) as clients:
        yield clients
