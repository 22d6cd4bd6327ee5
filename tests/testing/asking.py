"""What an app and a browser do at the local user pool's domain, for its tests."""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from amplify_mw.testing.pool.region import RegionServer
from tests.patience import PATIENCE

APP = "https://app.example/callback"
TARGET = "AWSCognitoIdentityProviderService."
AMZ_JSON = "application/x-amz-json-1.1"
VERIFIER = "verifier-of-43-characters-or-more-as-it-has-to-be"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")


class Clock:
    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def client(**options: Any) -> httpx2.Client:
    """A browser, more or less: it keeps cookies, and follows no redirect unless told to."""
    return httpx2.Client(trust_env=False, verify=False, timeout=PATIENCE, **options)


def call(pool: RegionServer, operation: str, **body: Any) -> httpx2.Response:
    headers = {"X-Amz-Target": TARGET + operation, "Content-Type": AMZ_JSON}
    with client() as http:
        return http.post(pool.url, headers=headers, content=json.dumps(body))


def get_user(pool: RegionServer, access_token: str) -> httpx2.Response:
    return call(pool, "GetUser", AccessToken=access_token)


def asked(pool: RegionServer, path: str = "/oauth2/authorize", **changes: str | None) -> str:
    """An authorize URL that is in order but for `changes`; None takes a parameter out."""
    parameters = {
        "response_type": "code",
        "client_id": pool.client_id,
        "redirect_uri": APP,
        "scope": "openid",
        "state": "st",
        "nonce": "no",
        "code_challenge": CHALLENGE.decode(),
        "code_challenge_method": "S256",
    } | changes
    present = {name: value for name, value in parameters.items() if value is not None}
    return f"{pool.url}{path}?{urlencode(present)}"


def returned(url: str) -> dict[str, str]:
    """The parameters that came back to the app."""
    assert url.startswith(f"{APP}?"), url
    return {name: value for name, [value] in parse_qs(urlsplit(url).query).items()}


def code_for(pool: RegionServer, username: str = "ada", **changes: str | None) -> str:
    return returned(pool.authorize(asked(pool, **changes), username))["code"]


def redeem(
    pool: RegionServer, code: str | None, auth: Any = None, **changes: str | None
) -> httpx2.Response:
    fields = {
        "grant_type": "authorization_code",
        "client_id": pool.client_id,
        "code": code,
        "redirect_uri": APP,
        "code_verifier": VERIFIER,
    } | changes
    present = {name: value for name, value in fields.items() if value is not None}
    with client() as http:
        return http.post(f"{pool.url}/oauth2/token", data=present, auth=auth)


def members(token: str, part: int = 1) -> dict[str, Any]:
    """The claims of a JWT, or its header."""
    text = token.split(".")[part]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def id_claims(pool: RegionServer, username: str = "ada", **changes: str | None) -> dict[str, Any]:
    """The claims of the ID token that a whole sign-in gives."""
    return members(redeem(pool, code_for(pool, username, **changes)).json()["id_token"])
