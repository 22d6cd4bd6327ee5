"""The endpoints of the local user pool's domain for apps: token, revoke and userInfo.

Rules:
- Answers and errors have the shapes of RFC 6749 5 and RFC 7009 2.2; like Cognito's, all errors are
  HTTP 400. Those of userInfo are HTTP 401 (RFC 6750 3).
- A client with a secret authenticates by Basic authentication, one without names its `client_id`.
- Nothing here locks; `LocalUserPool` does.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import unquote_plus

from werkzeug.datastructures import Authorization
from werkzeug.wrappers import Request, Response

from .authorization import OPENID
from .codes import BadCode, Codes
from .ledger import Ledger
from .machines import BadMachine, machine_claims
from .operations import Operations
from .refusals import Refused

# By method and path: an operation's name, and its function.
Paths = Mapping[tuple[str, str], tuple[str, Callable[[Request], Response]]]

MACHINE_GRANT: Final = "client_credentials"
FORM: Final = "application/x-www-form-urlencoded"
_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 5.1


class OAuthError(Exception):
    """The domain refuses a request: `code` says why (RFC 6749 5.2)."""

    def __init__(self, code: str, description: str | None = None) -> None:
        super().__init__(code)
        self.members: dict[str, str] = {"error": code} | (
            {"error_description": description} if description else {}
        )


class Domain:
    """The endpoints, on the operations of one pool. `region`: of a replica.

    `paths`: by method and path, the name and the function of each.
    """

    def __init__(
        self,
        ledger: Ledger,
        operations: Operations,
        codes: Codes,
        region: str | None = None,
    ) -> None:
        self._region = region
        self._ledger = ledger
        self._operations = operations
        self._codes = codes
        self._secrets = ledger.client_secrets
        self._grants: Mapping[str, Callable[[Request], Response]] = {
            "refresh_token": self._refresh,
            "authorization_code": self._redeem,
            MACHINE_GRANT: self._machine,
        }
        self.paths: Paths = {
            ("POST", "/oauth2/token"): ("token", partial(self._answer, self._token)),
            ("POST", "/oauth2/revoke"): ("revoke", partial(self._answer, self._revoke)),
            ("GET", "/oauth2/userInfo"): ("userInfo", self._user_info),
            ("POST", "/oauth2/userInfo"): ("userInfo", self._user_info),
        }

    def _answer(self, endpoint: Callable[[Request], Response], request: Request) -> Response:
        try:
            if request.mimetype != FORM:
                raise OAuthError("invalid_request")
            if not (endpoint == self._token and request.form.get("grant_type") == MACHINE_GRANT):
                self._check_client(request)
            return endpoint(request)
        except OAuthError as error:
            return _json(error.members, 400)

    def _token(self, request: Request) -> Response:
        grant = self._grants.get(_field(request, "grant_type"))
        if grant is None:
            raise OAuthError("unsupported_grant_type")
        return grant(request)

    def _redeem(self, request: Request) -> Response:
        code, redirect_uri = _field(request, "code"), _field(request, "redirect_uri")
        code_verifier = (
            _field(request, "code_verifier") if "code_verifier" in request.form else None
        )
        try:
            sign_in, nonce = self._codes.redeem(code, redirect_uri, code_verifier)
        except BadCode as bad:
            raise OAuthError("invalid_grant", str(bad)) from bad
        id_token, access_token = self._ledger.issue_bound(sign_in, nonce, self._region)
        is_openid = OPENID in sign_in.scope.split()
        return _json(
            ({"id_token": id_token} if is_openid else {})
            | {
                "access_token": access_token,
                "refresh_token": self._ledger.new_refresh_token(sign_in),
                "expires_in": self._ledger.token_lifetime,
                "token_type": "Bearer",
            }
        )

    def _refresh(self, request: Request) -> Response:
        try:
            result = self._operations.refresh(_field(request, "refresh_token"))
        except Refused as refused:  # OAuth has one word for all of it
            raise OAuthError("invalid_grant", refused.error.message) from refused
        names = {
            "id_token": "IdToken",
            "access_token": "AccessToken",
            "refresh_token": "RefreshToken",
            "expires_in": "ExpiresIn",
            "token_type": "TokenType",
        }
        return _json({name: result[member] for name, member in names.items() if member in result})

    def _machine(self, request: Request) -> Response:
        shown = request.authorization
        if shown is not None and shown.type == "basic":
            client_id, secret = _basic(shown)
        else:
            client_id, secret = _field(request, "client_id"), _field(request, "client_secret")
        scope, resource = (request.form.get(name) for name in ("scope", "resource"))
        stamp = self._ledger.stamp(self._region)
        try:
            client = self._ledger.machines.check(client_id, secret)
            claims = machine_claims(client, scope, resource)
        except BadMachine as bad:
            raise OAuthError(bad.code) from bad
        token = self._ledger.write("access", {**stamp.claims, **claims})
        return _json(
            {"access_token": token, "expires_in": stamp.expires_in, "token_type": "Bearer"}
        )

    def _revoke(self, request: Request) -> Response:
        try:
            self._operations.revoke(_field(request, "token"))
        except Refused as refused:
            raise OAuthError("unsupported_token_type") from refused
        return Response(b"", 200, _NO_STORE)

    def _user_info(self, request: Request) -> Response:
        shown = request.authorization
        if shown is None or shown.type != "bearer" or not shown.token:
            return _challenge("Access token is missing")
        try:
            return _json(self._operations.user_info(shown.token))
        except Refused as refused:
            return _challenge(refused.error.message)

    def _check_client(self, request: Request) -> None:
        shown = request.authorization
        if not self._secrets.active:
            if shown is not None or _field(request, "client_id") != self._ledger.client_id:
                raise OAuthError("invalid_client")
            return
        if shown is None or shown.type != "basic":
            raise OAuthError("invalid_client", "client_secret_basic is missing")
        client_id, secret = _basic(shown)
        if client_id != self._ledger.client_id or not self._secrets.is_one(secret):
            raise OAuthError("invalid_client", "invalid_client_secret")


def _basic(shown: Authorization) -> tuple[str, str]:
    """The client and its secret, form-encoded before they were joined (RFC 6749 2.3.1)."""
    return unquote_plus(shown.username or ""), unquote_plus(shown.password or "")


def _field(request: Request, name: str) -> str:
    """A form field, required exactly once (RFC 6749 3.2)."""
    values = request.form.getlist(name)
    if len(values) != 1:
        raise OAuthError("invalid_request", f"{name} is required, once")
    return values[0]


def _json(members: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(members), status, _NO_STORE, content_type="application/json")


def _challenge(description: str) -> Response:
    """The answer to a request without a good access token (RFC 6750 3)."""
    members = {"error": "invalid_token", "error_description": description}
    response = _json(members, 401)
    value = f'Bearer error="invalid_token", error_description="{description}"'
    response.headers["WWW-Authenticate"] = value
    return response
