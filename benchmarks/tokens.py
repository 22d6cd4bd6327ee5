"""Cognito-shaped ID tokens in any number, and a configuration with their key preloaded."""

import secrets
import time
import uuid
from functools import cached_property

from joserfc import jwt
from joserfc.jwk import RSAKey

from amplify_mw import AmplifyConfig

POOL_ID = "eu-west-1_Bench1234"
CLIENT_ID = "1h57kf5cpq17m0eml12EXAMPLE"
COOKIE = b"amplify-session"


class Mint:
    """One RSA-2048 key, and tokens signed with it."""

    def __init__(self) -> None:
        self.kid = secrets.token_urlsafe(32)
        parameters = {"kid": self.kid, "use": "sig", "alg": "RS256"}
        self.key = RSAKey.generate_key(2048, parameters)

    @property
    def key_set(self) -> dict:
        return {"keys": [self.key.as_dict(private=False)]}

    @cached_property
    def config(self) -> AmplifyConfig:
        return AmplifyConfig(user_pool_id=POOL_ID, client_id=CLIENT_ID, keys=self.key_set)

    def tokens(self, count: int, lifetime: int = 3600) -> list[str]:
        """`count` ID tokens, each of another user."""
        header = {"kid": self.kid, "alg": "RS256"}
        now = int(time.time())
        claims = (self._claims(number, now, lifetime) for number in range(count))
        return [jwt.encode(header, each, self.key) for each in claims]

    def _claims(self, number: int, now: int, lifetime: int) -> dict:
        """What Cognito puts into the ID token of a user with a few attributes."""
        sub = str(uuid.uuid4())
        return {
            "at_hash": secrets.token_urlsafe(16),
            "sub": sub,
            "cognito:groups": ["editors"],
            "email_verified": True,
            "iss": self.config.user_pools[0].iss,
            "cognito:username": sub,
            "given_name": "Ada",
            "family_name": f"Lovelace-{number}",
            "origin_jti": str(uuid.uuid4()),
            "aud": CLIENT_ID,
            "token_use": "id",
            "auth_time": min(now, now + lifetime - 60),
            "exp": now + lifetime,
            "iat": min(now, now + lifetime - 60),
            "jti": str(uuid.uuid4()),
            "email": f"ada.lovelace.{number}@example.com",
        }


def forged(token: str) -> str:
    """`token` with a signature that is well-formed and wrong."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{signature[:20]}{'B' if signature[20] == 'A' else 'A'}{signature[21:]}"
