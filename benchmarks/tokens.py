"""Cognito-shaped tokens in any number, and a configuration with their key preloaded."""

import base64
import json
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

    def token_of_length(self, length: int) -> str:
        """An ID token of `length` characters, or of one or two more: some claim is long."""
        header, now = {"kid": self.kid, "alg": "RS256"}, int(time.time())
        claims = self._claims(0, now, 3600)
        spare = length - len(jwt.encode(header, {**claims, "custom:note": ""}, self.key))
        return jwt.encode(header, {**claims, "custom:note": "a" * (spare * 3 // 4)}, self.key)

    def sets(self, count: int) -> list[dict[str, str]]:
        """`count` sign-ins: an ID token, an access token and a refresh token of a user each."""
        header = {"kid": self.kid, "alg": "RS256"}
        now = int(time.time())
        found = []
        for number in range(count):
            claims = self._claims(number, now, 3600)
            id_token, access_token = (
                jwt.encode(header, each, self.key) for each in (claims, _access_claims(claims))
            )
            each = {"id_token": id_token, "access_token": access_token}
            found.append({**each, "refresh_token": _refresh_token()})
        return found

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


def _access_claims(claims: dict) -> dict:
    """What Cognito puts into the access token that comes with an ID token."""
    same = ("sub", "cognito:groups", "iss", "origin_jti", "auth_time", "exp", "iat")
    return {
        **{name: claims[name] for name in same},
        "client_id": CLIENT_ID,
        "event_id": str(uuid.uuid4()),
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "jti": str(uuid.uuid4()),
        "username": claims["cognito:username"],
    }


def _refresh_token() -> str:
    """As long and as opaque as Cognito's: a JWE for Cognito itself (here, of random bytes)."""
    sizes = (256, 12, 1053, 16)  # the wrapped key, the vector, the text and the tag
    segments = [secrets.token_urlsafe(size) for size in sizes]
    return ".".join(["eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiUlNBLU9BRVAifQ", *segments])


def forged(token: str) -> str:
    """`token` with a signature that is well-formed and wrong."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{signature[:20]}{'B' if signature[20] == 'A' else 'A'}{signature[21:]}"


def username(token: str) -> str:
    """Whose token it is."""
    claims = base64.urlsafe_b64decode(token.split(".")[1] + "==")
    return json.loads(claims)["cognito:username"]
