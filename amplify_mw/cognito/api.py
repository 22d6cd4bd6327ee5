"""The Cognito user pool API: requests out, responses in. Nothing here is sent.

Rules:
- The wire is Amazon's JSON 1.1: POST, the operation in `X-Amz-Target`, unsigned.
- An error's code is read as the AWS SDKs read it (`x-amzn-errortype`, else `code`, `__type`; cut
  at `,` and `:`, after `#`), and becomes one of our errors by one table. Throttling arrives as
  HTTP 400.
- Cognito's own messages are not passed on: they may quote what was sent.
- Refreshing is the one place where more errors end a session (`_REFRESH_FAILURES`), and where a
  refusal of the app client itself must not be taken for one of the user.
- A refresh is given more time than other calls: an answer that is lost may have held the only
  refresh token that goes on.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ..effects import Request, Response
from ..errors import (
    AuthError,
    NetworkError,
    NotAuthorizedException,
    Reason,
    UserNotConfirmedException,
)

_TARGET: Final = "AWSCognitoIdentityProviderService."
THROTTLED: Final = frozenset(
    {
        "TooManyRequestsException",
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "LimitExceededException",
        "SlowDown",
    }
)


class Failure(NamedTuple):
    """What a failed call means. `ends_session`: the user is signed out by Cognito's own word.

    `may_be_reuse`: or somebody else has been given a newer refresh token.
    `message`: what to say instead of the error's own sentence.
    """

    error: type[AuthError]
    reason: Reason
    name: str | None = None
    status_code: int | None = None
    ends_session: bool = False
    retry_after: float | None = None
    message: str | None = None
    may_be_reuse: bool = False

    @property
    def is_outage(self) -> bool:
        """Whether Cognito gave no real answer."""
        return self.reason in ("throttled", "cognito_unavailable")

    def exception(self) -> AuthError:
        """A fresh exception that says this."""
        return self.error(
            self.message,
            reason=self.reason,
            name=self.name,
            status_code=self.status_code,
            retry_after=self.retry_after,
        )


_FAILURES: Final[Mapping[str, Failure]] = {
    "NotAuthorizedException": Failure(NotAuthorizedException, "session_revoked", ends_session=True),
    "UserNotFoundException": Failure(
        NotAuthorizedException, "user_not_found", "UserNotFoundException", ends_session=True
    ),
    "UserNotConfirmedException": Failure(UserNotConfirmedException, "user_not_confirmed"),
    "PasswordResetRequiredException": Failure(
        AuthError, "password_reset_required", "PasswordResetRequiredException", 403
    ),
    "InternalErrorException": Failure(NetworkError, "cognito_unavailable"),
    "ServiceUnavailableException": Failure(NetworkError, "cognito_unavailable"),
}
UNAVAILABLE: Final = Failure(NetworkError, "cognito_unavailable")
THROTTLING: Final = Failure(NetworkError, "throttled")
REJECTED_CLIENT: Final = Failure(
    AuthError,
    "cognito_error",
    message="Cognito does not accept the app client: check client_id and client_secret.",
)
REFRESH_PATIENCE: Final = 2.0
# Who may not sign in goes on with no session either; a call that only reads leaves that to the
# next refresh. What an unknown, expired, revoked or foreign refresh token and a disabled user get
# is NotAuthorizedException (`Invalid Refresh Token`, `Refresh Token has been revoked`, ...).
_REFRESH_FAILURES: Final[Mapping[str, Failure]] = {
    **_FAILURES,
    **{
        name: _FAILURES[name]._replace(ends_session=True, name=name)
        for name in ("UserNotConfirmedException", "PasswordResetRequiredException")
    },
    "TokenRevokedException": Failure(
        NotAuthorizedException, "session_revoked", "TokenRevokedException", ends_session=True
    ),
    "RefreshTokenReuseException": Failure(
        NotAuthorizedException,
        "refresh_token_reused",
        "RefreshTokenReuseException",
        ends_session=True,
        may_be_reuse=True,
    ),
}
_TOKEN: Final = re.compile(r"[!-~]{1,8192}")


class AppClient(NamedTuple):
    """An app client, as it says who it is: with its secret, if it has one."""

    client_id: str
    secret: str | None = None

    def __repr__(self) -> str:
        return f"<AppClient {self.client_id}>"


class Refreshed(NamedTuple):
    """What a refresh gave. `refresh_token`: None where the old one goes on."""

    id_token: bytes
    access_token: bytes
    refresh_token: bytes | None = None

    def __repr__(self) -> str:
        return "<Refreshed>"


def call(endpoint: str, operation: str, body: Mapping[str, Any]) -> Request:
    """The request that calls `operation` at `endpoint`."""
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": _TARGET + operation,
        "cache-control": "no-store",
    }
    return Request("POST", endpoint, headers, json.dumps(body).encode())


def get_user(endpoint: str, access_token: bytes) -> Request:
    """Ask for the user of an access token."""
    return call(endpoint, "GetUser", {"AccessToken": access_token.decode("ascii")})


def read_get_user(response: Response) -> dict[str, str] | Failure:
    """The attributes in a GetUser answer, or what its failure means."""
    failure = read_failure(response)
    if failure is not None:
        return failure
    try:
        members = json.loads(response.content)["UserAttributes"]
        return {
            member["Name"]: member["Value"]
            for member in members
            if isinstance(member["Name"], str) and isinstance(member["Value"], str)
        }
    except (ValueError, TypeError, KeyError, RecursionError):
        return UNAVAILABLE  # a 200 that is not Cognito's: a captive portal, a broken proxy


def get_tokens_from_refresh_token(
    endpoint: str, client: AppClient, refresh_token: bytes, device_key: str | None = None
) -> Request:
    """Ask for new tokens; with rotation, for a new refresh token too. `read_refreshed` reads it."""
    body = {
        "RefreshToken": refresh_token.decode("ascii"),
        **_client_members(client),
        **({} if device_key is None else {"DeviceKey": device_key}),
    }
    request = call(endpoint, "GetTokensFromRefreshToken", body)
    return request._replace(patience=REFRESH_PATIENCE)


def initiate_auth_refresh(
    endpoint: str,
    client: AppClient,
    refresh_token: bytes,
    username: str,
    device_key: str | None = None,
) -> Request:
    """Ask for new tokens without rotation (`REFRESH_TOKEN_AUTH`). `read_refreshed` reads it.

    `username`: the pool's own name of the user, never an alias such as the email address; it goes
    into the `SECRET_HASH`.
    """
    parameters = {
        "REFRESH_TOKEN": refresh_token.decode("ascii"),
        **({} if client.secret is None else {"SECRET_HASH": _secret_hash(client, username)}),
        **({} if device_key is None else {"DEVICE_KEY": device_key}),
    }
    body = {
        "AuthFlow": "REFRESH_TOKEN_AUTH",
        "ClientId": client.client_id,
        "AuthParameters": parameters,
    }
    return call(endpoint, "InitiateAuth", body)._replace(patience=REFRESH_PATIENCE)


def read_refreshed(response: Response) -> Refreshed | Failure:
    """The tokens in the answer of either of these, or what its failure means."""
    failure = read_failure(response, _REFRESH_FAILURES)
    if failure is not None:
        return REJECTED_CLIENT if failure.ends_session and _blames_client(response) else failure
    result = json_object(response).get("AuthenticationResult")
    result = result if isinstance(result, dict) else {}
    return refreshed(result.get("IdToken"), result.get("AccessToken"), result.get("RefreshToken"))


def refreshed(id_token: object, access_token: object, refresh_token: object) -> Refreshed | Failure:
    """These three as they came in a success; an outage where they are not Cognito's."""
    values = (id_token, access_token, *(() if refresh_token is None else (refresh_token,)))
    texts = [value for value in values if isinstance(value, str) and _TOKEN.fullmatch(value)]
    if len(texts) != len(values):
        return UNAVAILABLE
    return Refreshed(*(text.encode("ascii") for text in texts))


def revoke_token(endpoint: str, client: AppClient, refresh_token: bytes) -> Request:
    """Revoke a refresh token, with all tokens of its sign-in. `read_failure` reads the answer."""
    body = {"Token": refresh_token.decode("ascii"), **_client_members(client)}
    return call(endpoint, "RevokeToken", body)


def global_sign_out(endpoint: str, access_token: bytes) -> Request:
    """End every sign-in of an access token's user. `read_failure` reads the answer."""
    return call(endpoint, "GlobalSignOut", {"AccessToken": access_token.decode("ascii")})


def _client_members(client: AppClient) -> dict[str, str]:
    secret = {} if client.secret is None else {"ClientSecret": client.secret}
    return {"ClientId": client.client_id, **secret}


def _secret_hash(client: AppClient, username: str) -> str:
    import hmac  # only clients with a secret pay
    from base64 import b64encode

    message = (username + client.client_id).encode()
    return b64encode(hmac.digest((client.secret or "").encode(), message, "sha256")).decode("ascii")


def _blames_client(response: Response) -> bool:
    """Whether Cognito refuses the app client, for which it has no error of its own.

    `Client ... is configured for secret but secret was not received`, `Unable to verify secret
    hash for client ...`: nobody's session has ended when a deployment has lost its secret.
    """
    body = json_object(response)
    message = body.get("message") or body.get("Message")
    return isinstance(message, str) and "secret" in message.lower()


def read_failure(response: Response, failures: Mapping[str, Failure] = _FAILURES) -> Failure | None:
    """What a response that is no success means; None for a success."""
    if response.status == 200:
        return None
    code = _error_code(response)
    if code in THROTTLED or response.status == 429:
        return THROTTLING
    if response.status >= 500 or not code:
        return UNAVAILABLE
    return failures.get(code) or Failure(AuthError, "cognito_error", printable(code))


def _error_code(response: Response) -> str:
    code: object = response.headers.get("x-amzn-errortype")
    if not code:
        body = json_object(response)
        code = body.get("code") or body.get("__type")
    return code.split(",")[0].split(":")[0].rpartition("#")[2] if isinstance(code, str) else ""


def json_object(response: Response) -> dict[str, Any]:
    """The JSON object in an answer; an empty one where there is none."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def printable(code: str) -> str:
    """An unknown error's name, fit for a log: letters, digits and `_`, of a bounded length."""
    is_name = code.isascii() and code.replace("_", "").isalnum() and len(code) <= 64
    return code if is_name else "UnknownError"
