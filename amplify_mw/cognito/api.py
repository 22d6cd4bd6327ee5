"""The Cognito user pool API: requests out, responses in. Nothing here is sent.

Rules:
- The wire is Amazon's JSON 1.1: POST, the operation in `X-Amz-Target`, unsigned.
- An error's code is read as the AWS SDKs read it (`x-amzn-errortype`, else `code`, `__type`; cut
  at `,` and `:`, after `#`), and becomes one of our errors by one table. Throttling arrives as
  HTTP 400.
- Cognito's own messages are not passed on: they may quote what was sent.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

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


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failed call means. `ends_session`: the user is signed out by Cognito's own word.

    `message`: what to say instead of the error's own sentence.
    """

    error: type[AuthError]
    reason: Reason
    name: str | None = None
    status_code: int | None = None
    ends_session: bool = False
    retry_after: float | None = None
    message: str | None = None

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


def read_failure(response: Response) -> Failure | None:
    """What a response that is no success means; None for a success."""
    if response.status == 200:
        return None
    code = _error_code(response)
    if code in THROTTLED or response.status == 429:
        return Failure(NetworkError, "throttled")
    if response.status >= 500 or not code:
        return UNAVAILABLE
    return _FAILURES.get(code) or Failure(AuthError, "cognito_error", _printable(code))


def _error_code(response: Response) -> str:
    code: object = response.headers.get("x-amzn-errortype")
    if not code:
        try:
            body = json.loads(response.content)
        except (ValueError, RecursionError):
            return ""
        if not isinstance(body, dict):
            return ""
        code = body.get("code") or body.get("__type")
    return code.split(",")[0].split(":")[0].rpartition("#")[2] if isinstance(code, str) else ""


def _printable(code: str) -> str:
    """An unknown error's name, fit for a log: letters and digits, of a bounded length."""
    is_name = code.isascii() and code.isalnum() and len(code) <= 64
    return code if is_name else "UnknownError"
