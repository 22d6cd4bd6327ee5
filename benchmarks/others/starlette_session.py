"""Starlette's SessionMiddleware: the session in a cookie that an HMAC signs."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator

import itsdangerous
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection

from . import Peer, frameworks
from .users import Users, cookies, spoilt

LIFETIME = 14 * 24 * 3600  # the middleware's default


def peers(users: Users) -> Iterator[Peer]:
    signer = itsdangerous.TimestampSigner(users.secret)
    cookie = signer.sign(b64encode(json.dumps({"user": users.profile}).encode())).decode()
    headers, bad = [cookies(session=cookie)], cookies(session=spoilt(cookie))

    def read(value: str) -> str | None:
        """What the middleware does with the cookie's value; it has no call for it."""
        try:
            session = json.loads(b64decode(signer.unsign(value.encode(), max_age=LIFETIME)))
        except itsdangerous.BadSignature:
            return None
        return session["user"]["sub"]

    def ask(request) -> str | None:
        user = request.session.get("user")
        return None if user is None else user["sub"]

    alone = frameworks.asgi(users, lambda scope: ask(HTTPConnection(scope)))
    plain = SessionMiddleware(alone, secret_key=users.secret)
    full = frameworks.starlette(users, ask, Middleware(SessionMiddleware, secret_key=users.secret))
    for bare, app in ((frameworks.BARE, plain), ("Starlette", full)):
        yield Peer("SessionMiddleware", bare, app, headers, read, [cookie], (bad, spoilt(cookie)))
