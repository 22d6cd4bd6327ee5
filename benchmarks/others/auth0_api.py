"""auth0-api-python: an access token in the `Authorization` header.

The provider's metadata and keys come through its `custom_fetch` and stay in its cache. The token
has the claims of Auth0's, and a profile under names of the app's own.
"""

import time
import warnings
from collections.abc import Iterator

from fastapi import Request

from ..tokens import forged
from . import FIRST, KNOWN, Peer, frameworks
from .users import Users, bearer

with warnings.catch_warnings():
    import authlib.deprecate  # it has its warnings shown, unless it is told afterwards

    warnings.simplefilter("ignore", authlib.deprecate.AuthlibDeprecationWarning)
    from auth0_api_python import ApiClient, ApiClientOptions
    from auth0_api_python.errors import BaseAuthError

DOMAIN = "tenant.eu.auth0.com"
ISS = f"https://{DOMAIN}/"
AUDIENCE = "https://app.example.com/api"


def peers(users: Users) -> Iterator[Peer]:
    answers = {
        f"{ISS}.well-known/openid-configuration": {"issuer": ISS, "jwks_uri": f"{ISS}jwks.json"},
        f"{ISS}jwks.json": users.mint.key_set,
    }

    async def fetch(url: str) -> dict:
        return answers[url]

    client = ApiClient(ApiClientOptions(domain=DOMAIN, audience=AUDIENCE, custom_fetch=fetch))

    async def read(token: str) -> str | None:
        try:
            return (await client.verify_access_token(access_token=token))["sub"]
        except BaseAuthError:
            return None

    async def orders(request: Request):
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        users.witness(await read(token))
        return "ok"

    tokens = [users.sign(claims(each)) for each in users.claims]
    bad = forged(tokens[0])
    yield Peer(
        "Auth0, auth0-api-python",
        "FastAPI",
        frameworks.fastapi(orders),
        [bearer(token) for token in tokens],
        read,
        tokens,
        (bearer(bad), bad),
        (KNOWN, FIRST),
    )


def claims(of: dict) -> dict:
    now = int(time.time())
    own = ("email", "email_verified", "given_name", "family_name", "cognito:groups", "origin_jti")
    return {
        "iss": ISS,
        "sub": of["sub"],
        "aud": [AUDIENCE, f"{ISS}userinfo"],
        "iat": now,
        "exp": now + 3600,
        "scope": "openid profile email read:orders",
        "azp": "k2Yw7Vh3Yc0kPzR5sTqB8nMlJd0aXw7V",
        "permissions": ["read:orders"],
        "jti": of["jti"],
        **{f"https://app.example.com/{name}": of[name] for name in own},
    }
