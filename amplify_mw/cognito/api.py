"""The Cognito user pool API: requests out, responses in. Nothing here is sent.

Rules:
- The wire is Amazon's JSON 1.1: POST, the operation in `X-Amz-Target`, unsigned.
- An error's code is read as the AWS SDKs read it (`x-amzn-errortype`, else `code`, `__type`; cut
  at `,` and `:`, after `#`). Throttling arrives as HTTP 400.
- A new code is a line in `_FAILURES` (all operations), `_REFRESH_FAILURES`, `_REVOCATION_FAILURES`
  or `_LISTING_FAILURES`; `FAILURES` gives each operation its table. Every error in Cognito's
  service model has its line. Any other is `cognito_error`, and concerns one user alone. Codes of
  the token endpoint are in `oauth`.
- Cognito's messages are not passed on: they may quote the request. They are read only if one code
  has several meanings (`closer`).
- Errors of a refresh end more sessions than those of other operations. A refusal of the app client
  itself is never taken for a refusal of the user.
- A deleted app client ends a session only if Amazon's own endpoint of the pool reports it, for the
  client in the pool's signed token. Any other endpoint may be the wrong one.
- An answer from Cognito with unusable content is no outage: it concerns one user.
- A refresh gets more time than other calls: a lost answer may have held the only valid refresh
  token.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias

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


# The reach of an answer: every caller of the endpoint, the users of the app client, or one user.
Scope: TypeAlias = Literal["endpoint", "client", "user"]


class Failure(NamedTuple):
    """The meaning of a failed call. `ends_session`: Cognito says that the sign-in is over.

    `may_be_reuse`: or another request has received a newer refresh token.
    `message`: replaces the error's own message.
    `code`: Cognito's name for the failure, fit for a log. `mend`: the remedy for the operator.
    `detail`: more on this one case, for the log.
    """

    error: type[AuthError]
    reason: Reason
    name: str | None = None
    status_code: int | None = None
    ends_session: bool = False
    retry_after: float | None = None
    message: str | None = None
    may_be_reuse: bool = False
    code: str = ""
    mend: str = ""
    detail: str = ""

    @property
    def is_outage(self) -> bool:
        """Whether Cognito gave no real answer."""
        return self.reason in ("throttled", "cognito_unavailable")

    @property
    def scope(self) -> Scope:
        """The reach of this answer: others within it would get the same now."""
        if self.is_outage:
            return "endpoint"
        is_everybodys = self.reason in ("cognito_misconfigured", "firewall_blocked")
        return "client" if is_everybodys else "user"

    @property
    def refuses_client(self) -> bool:
        """Whether Cognito refuses the app client's secret; another one may do."""
        return self.mend == REJECTED_CLIENT.mend

    def exception(self) -> AuthError:
        """A new exception for this failure."""
        return self.error(
            self.message,
            reason=self.reason,
            name=self.name,
            status_code=self.status_code,
            recovery_suggestion=self.mend or None,
            retry_after=self.retry_after,
        )


def failure_of(answer: object) -> str | None:
    """The reason of a failed call; None if it has succeeded."""
    return answer.reason if isinstance(answer, Failure) else None


def misconfigured(mend: str) -> Failure:
    """A refusal until the operator has done `mend`. It ends no session."""
    return Failure(AuthError, "cognito_misconfigured", mend=mend)


UNAVAILABLE: Final = Failure(NetworkError, "cognito_unavailable")
THROTTLING: Final = Failure(NetworkError, "throttled")
REJECTED_CLIENT: Final = misconfigured("check client_id and client_secret")
UNKNOWN: Final = Failure(
    AuthError, "cognito_error", mend="look it up in the Amazon Cognito API reference"
)
_FIREWALL: Final = Failure(
    NetworkError,
    "firewall_blocked",
    mend="let this server's requests pass the AWS WAF web ACL of the user pool",
)
EVICTED: Final = "evicted by the pool's limit of sessions for a user"
_FAILURES: Final[Mapping[str, Failure]] = {
    "NotAuthorizedException": Failure(NotAuthorizedException, "session_revoked", ends_session=True),
    "UserNotFoundException": Failure(
        NotAuthorizedException, "user_not_found", "UserNotFoundException", ends_session=True
    ),
    "UserNotConfirmedException": Failure(UserNotConfirmedException, "user_not_confirmed"),
    "PasswordResetRequiredException": Failure(
        AuthError, "password_reset_required", "PasswordResetRequiredException", 403
    ),
    "InternalErrorException": UNAVAILABLE,
    "ServiceUnavailableException": UNAVAILABLE,
    "ResourceNotFoundException": misconfigured(
        "check user_pool_id, client_id and endpoint_url (its Region): there is no such pool or "
        "app client"
    ),
    "InvalidParameterException": misconfigured("check the settings of the app client"),
    "OperationNotEnabledException": misconfigured(
        "ask the pool's primary Region: a replica in a secondary one does not do this "
        "(endpoint_url)"
    ),
    "ForbiddenException": _FIREWALL,
}
REFRESH_PATIENCE: Final = 2.0
_BY_REFRESH_TOKEN: Final = misconfigured(
    'check client_secret; refresh_api="InitiateAuth" needs an app client that allows '
    "ALLOW_REFRESH_TOKEN_AUTH and does not rotate refresh tokens"
)
_SENDING_ROLE: Final = misconfigured("mend the role by which the user pool sends messages")
_FAILED_TRIGGER: Final = Failure(
    NetworkError, "trigger_failed", mend="look into the log of the pool's Lambda trigger"
)
# A user who may not sign in keeps no session either; a call that only reads leaves this to the next
# refresh. NotAuthorizedException is the answer to an unknown, expired, revoked or foreign refresh
# token, and for a disabled user (`Invalid Refresh Token`, `Refresh Token has been revoked`, ...).
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
    # A trigger refuses this user. One that crashes gives the same error: hence the remedy.
    "UserLambdaValidationException": Failure(
        NotAuthorizedException,
        "trigger_refused",
        ends_session=True,
        mend="the pool's Lambda trigger refuses users; look into its log if it should not",
    ),
    "UnexpectedLambdaException": _FAILED_TRIGGER,
    "InvalidLambdaResponseException": _FAILED_TRIGGER,
    "InvalidParameterException": _BY_REFRESH_TOKEN,
    "UnsupportedOperationException": _BY_REFRESH_TOKEN,
    "InvalidUserPoolConfigurationException": misconfigured("mend the user pool's configuration"),
    "InvalidSmsRoleAccessPolicyException": _SENDING_ROLE,
    "InvalidSmsRoleTrustRelationshipException": _SENDING_ROLE,
    "InvalidEmailRoleAccessPolicyException": _SENDING_ROLE,
    "FeatureUnavailableInTierException": misconfigured(
        "choose a feature plan of the user pool that has this, or switch the feature off"
    ),
}
_REVOCATION_FAILURES: Final[Mapping[str, Failure]] = {
    **_FAILURES,
    "UnauthorizedException": REJECTED_CLIENT,
    "InvalidParameterException": REJECTED_CLIENT,
    "UnsupportedOperationException": misconfigured("switch token revocation on for the app client"),
    "UnsupportedTokenTypeException": UNKNOWN._replace(
        mend="start sessions with the refresh token as refresh_token, and no other token"
    ),
}
TRACKING_OFF: Final = misconfigured(
    "switch session tracking on for the user pool (SetUserPoolSessionConfiguration); endpoint_url "
    "is that of its primary Region"
)
_LISTING_FAILURES: Final[Mapping[str, Failure]] = {
    # They end no session: a refresh or GetUser says whether the sign-in is over.
    **{name: failure._replace(ends_session=False) for name, failure in _FAILURES.items()},
    "InvalidParameterException": TRACKING_OFF,
    "OperationNotEnabledException": TRACKING_OFF,  # "for the current user pool configuration"
}
FAILURES: Final[Mapping[str, Mapping[str, Failure]]] = {
    "GetUser": _FAILURES,
    "GetTokensFromRefreshToken": _REFRESH_FAILURES,
    "InitiateAuth": _REFRESH_FAILURES,
    "RevokeToken": _REVOCATION_FAILURES,
    "GlobalSignOut": _FAILURES,
    "ListUserSessions": _LISTING_FAILURES,
    "RevokeUserSession": {
        **_LISTING_FAILURES,
        "InvalidParameterException": UNKNOWN._replace(
            mend="list the sessions anew, and choose one"
        ),
        "ResourceNotFoundException": Failure(NotAuthorizedException, "session_revoked"),  # already
    },
}
"""The meaning of each operation's errors, apart from throttling (`THROTTLED`)."""

_NO_SUCH_OPERATION: Final = misconfigured("this endpoint has no such operation")
_NO_SUCH_REFRESH: Final = misconfigured(
    "this endpoint has no such operation; for an emulator without GetTokensFromRefreshToken write "
    'refresh_api="InitiateAuth"'
)
# The names of AWS, of query APIs, and of cognito-local (which answers with status 500).
_NO_SUCH_OPERATIONS: Final = frozenset(
    {"UnknownOperationException", "InvalidAction", "Unsupported", "NotImplemented"}
)
_DELETED_CLIENT: Final = Failure(
    NotAuthorizedException,
    "client_not_found",
    ends_session=True,
    mend="this app client was deleted; leave it out of client_id",
)
_FORGOTTEN_DEVICE: Final = _FAILURES["NotAuthorizedException"]
UNUSABLE: Final = Failure(
    NetworkError, "malformed_token", message="Cognito's answer to a refresh holds no usable tokens."
)
_TOKEN: Final = re.compile(r"[!-~]+")  # sessions limit its length


class AppClient(NamedTuple):
    """An app client's credentials: its id, and its secret if it has one."""

    client_id: str
    secret: str | None = None

    def __repr__(self) -> str:
        return f"<AppClient {self.client_id}>"


class Refreshed(NamedTuple):
    """The tokens from a refresh. `refresh_token`: None if the old one stays valid."""

    id_token: bytes
    access_token: bytes
    refresh_token: bytes | None = None

    def __repr__(self) -> str:
        return "<Refreshed>"


def call(endpoint: str, operation: str, body: Mapping[str, Any]) -> Request:
    """The request to call `operation` at `endpoint`."""
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
    """The attributes in a GetUser answer, or its failure."""
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
        return UNAVAILABLE  # a 200, but not from Cognito: a captive portal, a broken proxy


def get_tokens_from_refresh_token(
    endpoint: str, client: AppClient, refresh_token: bytes, device_key: str | None = None
) -> Request:
    """Ask for new tokens; with rotation, for a new refresh token too. `read_refreshed` reads it."""
    body = {
        "RefreshToken": refresh_token.decode("ascii"),
        **client_members(client),
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


def read_refreshed(response: Response, own_client: str | None = None) -> Refreshed | Failure:
    """The tokens in the answer to either of these requests, or its failure.

    `own_client`: the app client's id, if the endpoint is known to be the pool's own.
    """
    failure = read_failure(response, _REFRESH_FAILURES)
    if failure is not None:
        return closer(failure, response, own_client)
    body = json_object(response)
    result = body.get("AuthenticationResult")
    if not isinstance(result, dict):  # a challenge; or a captive portal, a broken proxy
        return UNUSABLE if "ChallengeName" in body else UNAVAILABLE
    return refreshed(result.get("IdToken"), result.get("AccessToken"), result.get("RefreshToken"))


def refreshed(id_token: object, access_token: object, refresh_token: object) -> Refreshed | Failure:
    """The three tokens of a successful answer, checked."""
    values = (id_token, access_token, *(() if refresh_token is None else (refresh_token,)))
    texts = [value for value in values if isinstance(value, str) and _TOKEN.fullmatch(value)]
    if len(texts) != len(values):
        return UNUSABLE
    return Refreshed(*(text.encode("ascii") for text in texts))


def client_members(client: AppClient) -> dict[str, str]:
    """An app client's credentials in a request."""
    secret = {} if client.secret is None else {"ClientSecret": client.secret}
    return {"ClientId": client.client_id, **secret}


def _secret_hash(client: AppClient, username: str) -> str:
    import hmac  # only clients with a secret pay
    from base64 import b64encode

    message = (username + client.client_id).encode()
    return b64encode(hmac.digest((client.secret or "").encode(), message, "sha256")).decode("ascii")


def closer(failure: Failure, response: Response, own_client: str | None = None) -> Failure:
    """A failure, told apart by Cognito's message if its code has several meanings."""
    meant, code, words = failure, failure.code, said(response)
    if code == "NotAuthorizedException" and "secret" in words:
        # `Client ... is configured for secret but secret was not received`, `Unable to verify
        # secret hash for client ...`: a deployment has lost the secret, and no session has ended.
        meant = REJECTED_CLIENT
    elif code == "ResourceNotFoundException" and "does not exist" in words:
        if "device" in words:  # of this sign-in: forgotten, together with its refresh tokens
            meant = _FORGOTTEN_DEVICE
        elif own_client and f"client {own_client.lower()} " in words:
            meant = _DELETED_CLIENT
    return meant._replace(code=code)


def said(response: Response) -> str:
    """Cognito's message, in lower case."""
    body = json_object(response)
    message = body.get("message") or body.get("Message")
    return message.lower() if isinstance(message, str) else ""


def read_failure(response: Response, failures: Mapping[str, Failure] = _FAILURES) -> Failure | None:
    """The failure in a response; None for a success."""
    if response.status == 200:
        return None
    code = _error_code(response)
    if code in THROTTLED or response.status == 429:
        return THROTTLING
    if code in _NO_SUCH_OPERATIONS:
        lacking = _NO_SUCH_REFRESH if failures is _REFRESH_FAILURES else _NO_SUCH_OPERATION
        return lacking._replace(name=code, code=code)
    if response.status >= 500 or not code:
        return UNAVAILABLE
    failure = failures.get(code, UNKNOWN)
    if failure.is_outage:
        return failure
    name = printable(code)
    is_its_own = name == failure.error.name
    detail = EVICTED if failure.ends_session and names_eviction(said(response)) else ""
    shown = failure.name or (None if is_its_own else name)
    return failure._replace(name=shown, code=name, detail=detail)


def names_eviction(words: str) -> bool:
    """Whether Cognito's message says that a newer sign-in has evicted the session."""
    is_limit = "session" in words and ("limit" in words or "maximum" in words)
    return is_limit or "evict" in words


def _error_code(response: Response) -> str:
    code: object = response.headers.get("x-amzn-errortype")
    if not code:
        body = json_object(response)
        code = body.get("code") or body.get("__type")
    return code.split(",")[0].split(":")[0].rpartition("#")[2] if isinstance(code, str) else ""


def json_object(response: Response) -> dict[str, Any]:
    """The JSON object in an answer; an empty one if there is none."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def printable(code: str) -> str:
    """An unknown error's name, fit for a log: letters, digits and `_`, of a bounded length."""
    is_name = code.isascii() and code.replace("_", "").isalnum() and len(code) <= 64
    return code if is_name else "UnknownError"
