"""A pytest plugin for another project's tests: each app of a framework gets our middleware.

It runs in that project's own pytest, in a process of its own. Two variables of the environment:

    SUITE_OUTCOMES   a file, for JSON: each test's outcome, and the number of requests served
    SUITE_WRAPS      FRAMEWORK:VISITOR, or empty: nothing is wrapped

VISITOR is `nobody`, or `ada`, who has a session in each request. The framework's tests compare
cookies and headers with their own, so hers is put in outside the middleware and taken out inside.
"""

import json
import os
from collections.abc import Callable
from contextvars import copy_context
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from amplify_mw import AmplifyConfig
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.context import bound
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware


class Outcomes:
    """How each test ended. A test's teardown counts as well."""

    def __init__(self, visitors: "Visitors | None") -> None:
        self.visitors = visitors
        self.found: dict[str, str] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test in a context of its own: one that fails leaves nothing to those after it."""
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        copy_context().run(runtestprotocol, item, nextitem=nextitem)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        before = self.found.get(report.nodeid, "passed")
        if report.outcome != "passed" or before == "passed":
            self.found[report.nodeid] = report.outcome

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.found[report.nodeid] = "not collected"

    def pytest_sessionfinish(self) -> None:
        served = self.visitors.served if self.visitors else 0
        Path(os.environ["SUITE_OUTCOMES"]).write_text(
            json.dumps({"outcomes": self.found, "served": served})
        )


class Visitors:
    """Wraps apps, for nobody or for ada."""

    def __init__(self, config: AmplifyConfig, token: str | None) -> None:
        self.config = config
        self.cookie = None if token is None else f"amplify-session={token}"
        self.served = 0

    def wsgi(self, app: Callable[..., Any]) -> Callable[..., Any]:
        """A WSGI app behind the middleware."""
        wrapped = AmplifyWSGIMiddleware(self.wsgi_inside(app), self.config)
        if self.cookie is None:
            return wrapped

        def outside(environ: dict[str, Any], start_response: Any) -> Any:
            given = environ.get("HTTP_COOKIE")
            environ["tests.cookie"] = given
            environ["HTTP_COOKIE"] = f"{given}; {self.cookie}" if given else self.cookie
            return wrapped(environ, start_response)

        return outside

    def wsgi_inside(self, app: Callable[..., Any]) -> Callable[..., Any]:
        def inside(environ: dict[str, Any], start_response: Any) -> Any:
            self.meet()
            if self.cookie is not None:
                given = environ.pop("tests.cookie")
                if given is None:
                    del environ["HTTP_COOKIE"]
                else:
                    environ["HTTP_COOKIE"] = given
            return app(environ, start_response)

        return inside

    def asgi(self, app: Callable[..., Any]) -> Callable[..., Any]:
        """An ASGI app behind the middleware."""

        async def inside(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] in ("http", "websocket"):
                self.meet()
                if "tests.headers" in scope:
                    scope["headers"] = scope.pop("tests.headers")
                    if scope["headers"] is None:
                        del scope["headers"]
            await app(scope, receive, send)

        wrapped = AmplifyASGIMiddleware(inside, self.config)
        if self.cookie is None:
            return wrapped

        async def outside(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] in ("http", "websocket"):
                scope["tests.headers"] = headers = scope.get("headers")
                scope["headers"] = [*(headers or ()), (b"cookie", self.cookie.encode())]
            await wrapped(scope, receive, send)

        return outside

    def meet(self) -> None:
        """Check that the middleware is there, and has found who is expected."""
        visit = bound()
        # (A verb would mark the response as one user's.)
        user = visit.verdict.user if visit else "no middleware"
        assert (user and user.username) == (None if self.cookie is None else "ada")
        self.served += 1


def wrap_attribute(owner: type, name: str, wrap: Callable[[Any], Any]) -> None:
    """Wrap the app that each object of a class has in an attribute."""
    make = owner.__init__

    @wraps(make)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        setattr(self, name, wrap(getattr(self, name)))

    owner.__init__ = made


def wrap_stack(owner: type, name: str, wrap: Callable[[Any], Any]) -> None:
    """Wrap what a class's method builds."""
    build = getattr(owner, name)
    setattr(owner, name, wraps(build)(lambda self: wrap(build(self))))


WRAPS: dict[str, Callable[[Visitors], None]] = {
    "bottle": lambda to: wrap_attribute(import_module("bottle").Bottle, "wsgi", to.wsgi),
    "flask": lambda to: wrap_attribute(import_module("flask").Flask, "wsgi_app", to.wsgi),
    "quart": lambda to: wrap_attribute(import_module("quart").Quart, "asgi_app", to.asgi),
    "starlette": lambda to: wrap_stack(
        import_module("starlette.applications").Starlette, "build_middleware_stack", to.asgi
    ),
    "fastapi": lambda to: wrap_stack(
        import_module("fastapi").FastAPI, "build_middleware_stack", to.asgi
    ),
}


def wrap(framework: str, visitor: str) -> Visitors:
    """Wrap all apps of a framework from now on."""
    pool = LocalUserPool()
    pool.start()
    pool.add_user("ada")
    token = pool.sign_in("ada").id_token if visitor == "ada" else None
    visitors = Visitors(pool.config(), token)
    # Met once here, where waiting for its key set is nobody's business.
    status: list[str] = []
    app = visitors.wsgi(lambda _, start: [start("200 OK", []) and b""])
    list(app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda got, *_: status.append(got)))
    assert status == ["200 OK"]
    WRAPS[framework](visitors)
    return visitors


def pytest_configure(config: pytest.Config) -> None:
    framework, _, visitor = os.environ["SUITE_WRAPS"].partition(":")
    config.pluginmanager.register(Outcomes(wrap(framework, visitor) if framework else None))
