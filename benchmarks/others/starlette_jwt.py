"""Starlette's AuthenticationMiddleware with a backend of PyJWT, as one would write it."""

from collections.abc import Iterator

import jwt
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware

from ..requests import cookie_header
from ..tokens import CLIENT_ID, COOKIE, forged
from . import FIRST, KNOWN, Peer, frameworks
from .users import Users


class Backend(AuthenticationBackend):
    def __init__(self, users: Users) -> None:
        self.keys = jwt.PyJWKSet.from_dict(users.mint.key_set)
        self.iss = users.mint.config.user_pools[0].iss

    def verify(self, token: str) -> str | None:
        try:
            key = self.keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=CLIENT_ID,
                issuer=self.iss,
                options={"require": ["exp", "iat", "iss", "aud", "token_use"]},
            )
        except (jwt.PyJWTError, KeyError):
            return None
        return claims["cognito:username"] if claims["token_use"] == "id" else None

    async def authenticate(self, conn):
        token = conn.cookies.get(COOKIE.decode())
        name = None if token is None else self.verify(token)
        return None if name is None else (AuthCredentials(["authenticated"]), SimpleUser(name))


def peers(users: Users) -> Iterator[Peer]:
    tokens = [tokens["id_token"] for tokens in users.sets]
    backend = Backend(users)

    def ask(request) -> str | None:
        return request.user.display_name if request.user.is_authenticated else None

    yield Peer(
        "AuthenticationMiddleware with PyJWT",
        "Starlette",
        frameworks.starlette(users, ask, Middleware(AuthenticationMiddleware, backend=backend)),
        [{"cookie": cookie_header(token)} for token in tokens],
        backend.verify,
        tokens,
        ({"cookie": cookie_header(forged(tokens[0]))}, forged(tokens[0])),
        (KNOWN, FIRST),
    )
