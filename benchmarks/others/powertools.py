"""AWS Powertools' `auth_alpha` verifier: a Cognito access token in the `Authorization` header.

Powertools is for Lambda's events and has no part for a web framework; so the verifier is called
where an app would call it, at the head of its route. It takes resource-bound tokens alone: each
user's access token names the API in `aud`. The keys are preloaded.
"""

from collections.abc import Iterator

from aws_lambda_powertools.utilities.auth_alpha import JWTVerifier
from aws_lambda_powertools.utilities.auth_alpha.jwt.exceptions import InvalidTokenError

from ..tokens import CLIENT_ID, POOL_ID, forged
from . import FIRST, KNOWN, Peer, frameworks
from .users import Users, bearer, claims_of

API = "https://orders.example.com"


def peers(users: Users, bare: str) -> Iterator[Peer]:
    verifier = JWTVerifier.cognito(
        user_pool_id=POOL_ID, client_id=CLIENT_ID, audience=API, jwks=users.mint.key_set
    )

    def read(token: str) -> str | None:
        try:
            return verifier.verify(token)["sub"]
        except InvalidTokenError:
            return None

    tokens = [
        users.sign({**claims_of(tokens["access_token"]), "aud": API}) for tokens in users.sets
    ]
    bad = forged(tokens[0])
    yield Peer(
        "Powertools",
        bare,
        (_flask if bare == "Flask" else _fastapi)(users, read),
        [bearer(token) for token in tokens],
        read,
        tokens,
        (bearer(bad), bad),
        (KNOWN, FIRST),
    )


def _flask(users: Users, read):
    from flask import request

    def ask() -> str | None:
        return read(request.headers["Authorization"].removeprefix("Bearer "))

    return frameworks.flask(users, ask)


def _fastapi(users: Users, read):
    from fastapi import Request

    async def orders(request: Request):
        users.witness(read(request.headers["Authorization"].removeprefix("Bearer ")))
        return "ok"

    return frameworks.fastapi(orders)
