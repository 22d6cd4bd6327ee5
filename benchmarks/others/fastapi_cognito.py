"""fastapi-cognito: an access token in the `Authorization` header, the keys in a file, read once."""

import atexit
import json
from collections.abc import Iterator
from tempfile import NamedTemporaryFile

from fastapi import Depends
from fastapi_cognito import CognitoAuth, CognitoSettings, CognitoToken
from fastapi_cognito.cognito_jwt.decode import decode_cognito_jwt
from fastapi_cognito.cognito_jwt.exceptions import CognitoJWTException

from ..tokens import CLIENT_ID, POOL_ID, forged
from . import FIRST, KNOWN, Peer, frameworks
from .users import Users, bearer


def peers(users: Users) -> Iterator[Peer]:
    file = NamedTemporaryFile("w", suffix=".json")  # until the process ends  # noqa: SIM115
    atexit.register(file.close)
    json.dump(users.mint.key_set, file)
    file.flush()
    pool = {
        "region": POOL_ID.partition("_")[0],
        "userpool_id": POOL_ID,
        "app_client_id": CLIENT_ID,
        "jwks_url": file.name,
    }
    settings = CognitoSettings(
        check_expiration=True,
        jwt_header_name="Authorization",
        jwt_header_prefix="Bearer",
        userpools={"eu": pool},
    )
    auth = CognitoAuth(settings=settings)

    async def orders(token: CognitoToken = Depends(auth.auth_required)):  # noqa: B008
        users.witness(token.username)
        return "ok"

    async def read(token: str) -> str | None:
        try:
            return (await decode_cognito_jwt(token, **pool))["username"]
        except CognitoJWTException:
            return None

    tokens = [tokens["access_token"] for tokens in users.sets]
    bad = forged(tokens[0])
    yield Peer(
        "fastapi-cognito",
        "FastAPI",
        frameworks.fastapi(orders),
        [bearer(token) for token in tokens],
        read,
        tokens,
        (bearer(bad), bad),
        (KNOWN, FIRST),
    )
