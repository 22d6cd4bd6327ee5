"""auth0-server-python: an encrypted session in a cookie, read by a store as its guide outlines it.

The session holds what a sign-in leaves there: the user's claims, the ID token, an opaque access
token and an opaque refresh token.
"""

import secrets
import time
from collections.abc import Iterator

from auth0_server_python.auth_server.server_client import ServerClient
from auth0_server_python.store.abstract import StateStore
from fastapi import Request
from jwcrypto.common import JWException

from . import FIRST, KNOWN, Peer, frameworks
from .users import Users, cookies, spoilt

COOKIE = "_a0_session"


class CookieStore(StateStore):
    """Sessions in a cookie. `options` has the request's cookies."""

    async def get(self, identifier, options=None):
        value = options["cookies"].get(COOKIE)
        try:
            return None if value is None else self.decrypt(identifier, value)
        except JWException:
            return None

    async def set(self, identifier, state, remove_if_expires=False, options=None):
        raise NotImplementedError

    async def delete(self, identifier, options=None):
        raise NotImplementedError


def peers(users: Users) -> Iterator[Peer]:
    store = CookieStore({"secret": users.secret})
    client = ServerClient(
        domain="tenant.eu.auth0.com",
        client_id="k2Yw7Vh3Yc0kPzR5sTqB8nMlJd0aXw7V",
        client_secret=users.secret,
        secret=users.secret,
        state_store=store,
    )

    async def read(sent: dict[str, str]) -> str | None:
        user = await client.get_user({"cookies": sent})
        return None if user is None else user["sub"]

    async def orders(request: Request):
        users.witness(await read(request.cookies))
        return "ok"

    values = [
        store.encrypt(COOKIE, _session(tokens, claims))
        for tokens, claims in zip(users.sets, users.claims, strict=True)
    ]
    assert max(map(len, values)) < 4096, "it would be more than one cookie"
    bad = spoilt(values[0])
    yield Peer(
        "Auth0, auth0-server-python",
        "FastAPI",
        frameworks.fastapi(orders),
        [cookies(**{COOKIE: value}) for value in values],
        read,
        [{COOKIE: value} for value in values],
        (cookies(**{COOKIE: bad}), {COOKIE: bad}),
        (KNOWN, FIRST),
    )


def _session(tokens: dict[str, str], claims: dict) -> dict:
    now = int(time.time())
    access = {"access_token": secrets.token_urlsafe(24), "expires_at": now + 3600}
    return {
        "user": claims,
        "id_token": tokens["id_token"],
        "refresh_token": secrets.token_urlsafe(34),
        "token_sets": [{"audience": "default", "scope": "openid profile email", **access}],
        "connection_token_sets": [],
        "domain": "tenant.eu.auth0.com",
        "internal": {"sid": secrets.token_hex(16), "created_at": now},
    }
