"""scalekit-sdk-python: tokens and claims in one encrypted cookie, read by its `requires_auth`.

The session holds what its callback leaves there: the access token's claims, and the tokens. A
browser keeps no cookie of the size that Cognito's two tokens would make, and the SDK refuses to
make one; so the tokens inside are of its own service's size, opaque, and the claims are Cognito's.
"""

import secrets
import time
from collections.abc import Iterator

from . import FIRST, KNOWN, Peer, frameworks
from .users import Users, claims_of, cookies, spoilt

COOKIE = "sk_session"


def peers(users: Users, bare: str) -> Iterator[Peer]:
    auth, app = (_flask if bare == "Flask" else _fastapi)(users)
    manager = auth.manager
    values = [manager.create_session_cookie(_session(tokens)) for tokens in users.sets]
    bad = spoilt(values[0])

    def read(value: str) -> str | None:
        result = manager.check(Request(value))
        return result.user["sub"] if result.authenticated else None

    yield Peer(
        "Scalekit",
        bare,
        app,
        [cookies(**{COOKIE: value}) for value in values],
        read,
        values,
        (cookies(**{COOKIE: bad}), bad),
        (KNOWN, FIRST),
    )


class Request:
    """What the manager asks a framework's adapter for, which has read the cookies."""

    def __init__(self, value: str) -> None:
        self._value = value

    def get_cookie(self, name: str) -> str:
        return self._value

    def get_request_url(self) -> str:
        return "https://app.example.com/account/orders"


def _session(tokens: dict[str, str]) -> dict:
    return {
        "user": claims_of(tokens["access_token"]),
        "access_token": secrets.token_urlsafe(480),
        "refresh_token": secrets.token_urlsafe(32),
        "id_token": secrets.token_urlsafe(480),
        "expires_at": time.time() + 3600,
    }


def _options(users: Users) -> dict:
    return {
        "client": object(),  # asked for new tokens, never for a session that holds
        "redirect_uri": "https://app.example.com/callback",
        "cookie_encryption_secret": users.secret,
    }


def _flask(users: Users):
    from flask import Flask
    from scalekit.frameworks.flask import ScalekitAuth

    app = Flask("benchmark")
    auth = ScalekitAuth(app, **_options(users))

    @app.get("/account/orders")
    @auth.requires_auth
    def orders():
        users.witness(auth.current_user["sub"])
        return "ok"

    return auth, app


def _fastapi(users: Users):
    from fastapi import Depends
    from scalekit.frameworks.fastapi import ScalekitAuth

    auth = ScalekitAuth(**_options(users))

    async def orders(user: dict = Depends(auth.requires_auth)):  # noqa: B008
        users.witness(user["sub"])
        return "ok"

    app = frameworks.fastapi(orders)
    auth.install(app)
    return auth, app
