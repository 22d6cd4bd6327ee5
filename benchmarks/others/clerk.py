"""Clerk's SDK (`authenticate_request`), networkless: with the key as PEM (`jwt_key`).

Its session token is made with the same RSA key and has the claims that Clerk's have, and the
profile beside them, so that it is about as long as Cognito's.
"""

import time
from collections.abc import Iterator
from types import SimpleNamespace

from clerk_backend_api.security import authenticate_request, authenticate_request_async
from clerk_backend_api.security.types import AuthenticateRequestOptions
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..tokens import forged
from . import FIRST, KNOWN, Peer, frameworks
from .users import Users, cookies

ORIGIN = "https://app.example.com"


def peers(users: Users, bare: str) -> Iterator[Peer]:
    tokens = [users.sign(claims(each)) for each in users.claims]
    public = users.mint.key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    options = AuthenticateRequestOptions(jwt_key=public.decode(), authorized_parties=[ORIGIN])

    def read(request) -> str | None:
        return _name(authenticate_request(request, options))

    headers = [cookies(__session=token) for token in tokens]
    bad = cookies(__session=forged(tokens[0]))
    yield Peer(
        "Clerk",
        bare,
        (_flask if bare == "Flask" else _fastapi)(users, options),
        headers,
        read,
        [SimpleNamespace(headers=each) for each in headers],
        (bad, SimpleNamespace(headers=bad)),
        (KNOWN, FIRST),
    )


def claims(of: dict) -> dict:
    now = int(time.time())
    return {
        "azp": ORIGIN,
        "exp": now + 3600,
        "fva": [3, -1],
        "iat": now,
        "iss": "https://clerk.example.com",
        "jti": "0f3c9a526d1e4b7a9c55",
        "nbf": now - 10,
        "o": {"id": "org_2gaXw7Vh3Yc0kPzR5sTqB8nMlJd", "rol": "editor", "slg": "editors"},
        "sid": "sess_2gaXw7Vh3Yc0kPzR5sTqB8nMlJd",
        "sts": "active",
        "sub": of["sub"],
        "v": 2,
        **{name: of[name] for name in ("email", "email_verified", "given_name", "family_name")},
        **{name: of[name] for name in ("origin_jti", "auth_time", "at_hash")},
    }


def _name(state) -> str | None:
    return state.payload["sub"] if state.is_signed_in else None


def _flask(users: Users, options):
    from flask import request

    return frameworks.flask(users, lambda: _name(authenticate_request(request, options)))


def _fastapi(users: Users, options):
    from fastapi import Request

    async def orders(request: Request):
        users.witness(_name(await authenticate_request_async(request, options)))
        return "ok"

    return frameworks.fastapi(orders)
