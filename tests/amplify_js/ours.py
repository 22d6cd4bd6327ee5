"""A site of ours that shares its cookies with Amplify JS, as a browser meets it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import amplify_mw
from amplify_mw import AmplifyConfig, AuthError
from amplify_mw.engine.engine import Engine
from tests.amplify_js.node import Page
from tests.shells import Ask, Got, Shell


class Site:
    """`shell`: how it is served; `engine`: of the middleware."""

    def __init__(self, shell: Shell, engine: Engine) -> None:
        self._shell = shell
        self._engine = engine

    def visit(self, page: Page, act: Callable[[], object] | None = None, path: str = "/") -> Any:
        """What the site says to a browser's request: whom it knows after it has acted, or why not.

        The browser takes the cookies.
        """

        def app() -> str:
            try:
                if act is not None:
                    act()
                user = amplify_mw.get_current_user().to_dict()
                del user["groups"]  # Amplify's own value has none
                return json.dumps(user)
            except AuthError as error:
                return json.dumps(error.name)

        got: Got = self._shell.send(
            self._shell.middleware(self._shell.app(app), self._engine),
            Ask(path, cookies=page.cookie or None),
        )
        page.receive(got.all("set-cookie"), f"https://app.example.com{path}")
        return json.loads(got.body)

    def settle(self) -> None:
        """Wait until everything that nobody waits for has been done."""
        self._engine.close()


@contextmanager
def site(shell: Shell, config: AmplifyConfig) -> Iterator[Site]:
    engine = Engine(config)
    try:
        yield Site(shell, engine)
    finally:
        engine.close()


def refresh() -> None:
    amplify_mw.fetch_auth_session(force_refresh=True)
