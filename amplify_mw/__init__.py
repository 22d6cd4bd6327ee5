"""Know the signed-in Amazon Cognito user anywhere in a Python web app, as AWS Amplify does in Node.

    from amplify_mw import get_current_user, fetch_user_attributes

The public modules:

    amplify_mw                         configuration, session kinds, functions, values, errors
    amplify_mw.aio                     the same functions, awaited
    amplify_mw.wsgi                    AmplifyWSGIMiddleware
    amplify_mw.asgi                    AmplifyASGIMiddleware
    amplify_mw.errors                  every error, and the reasons of an AuthError
    amplify_mw.events                  the events of AmplifyConfig(on_event=...)
    amplify_mw.audit                   AuditLog, a listener of events that writes a file
    amplify_mw.otel                    metrics and traces: AmplifyConfig(telemetry=OpenTelemetry())
    amplify_mw.stores                  the session stores, and their contract
    amplify_mw.diagnostics             inspect_credential, examine: why a request is refused
    amplify_mw.integrations            answer_for, refuse_socket: for any framework
    amplify_mw.integrations.blacksheep  handle_auth_errors, AmplifyAuthentication
    amplify_mw.integrations.bottle     AmplifyAuth, a plugin; current_user, handle_auth_errors
    amplify_mw.integrations.django     UserMiddleware, AuthErrorMiddleware
    amplify_mw.integrations.django.views  sign_in
    amplify_mw.integrations.django.rest_framework  AmplifyAuthentication, has_group
    amplify_mw.integrations.django.ninja  amplify_auth, handle_auth_errors
    amplify_mw.integrations.django.channels  UserMiddleware, for sockets
    amplify_mw.integrations.falcon     handle_auth_errors, require
    amplify_mw.integrations.fastapi    AmplifyAuth: dependencies, and the sign-in of /docs
    amplify_mw.integrations.flask      AmplifyAuth, current_user, handle_auth_errors, signals
    amplify_mw.integrations.litestar   AmplifyPlugin, require
    amplify_mw.integrations.mcp        AmplifyTokenVerifier, settings_for: for agents
    amplify_mw.integrations.pyramid    AmplifySecurityPolicy, includeme
    amplify_mw.integrations.quart      AmplifyAuth, current_user, handle_auth_errors, signals
    amplify_mw.integrations.sanic      handle_auth_errors, under ASGI
    amplify_mw.integrations.starlette  handle_auth_errors, for FastAPI too
    amplify_mw.testing                 a local user pool, signed-in test clients, `signed_in`
    amplify_mw.testing.plugin          a local user pool and signed-in clients as pytest's fixtures
    amplify_mw.testing.store_contract  tests to inherit for a session store of your own

All other modules may change in any release.
"""

from typing import TYPE_CHECKING, Any, Final

from .config.config import AmplifyConfig as AmplifyConfig
from .config.pool import UserPool as UserPool
from .config.routes import AuthRoutes as AuthRoutes
from .engine.carrying import carry as carry
from .errors import AuthError as AuthError
from .errors import BlockingCallError as BlockingCallError
from .errors import ConfigurationError as ConfigurationError
from .errors import ForbiddenException as ForbiddenException
from .errors import InvalidRequestException as InvalidRequestException
from .errors import NetworkError as NetworkError
from .errors import NotAuthorizedException as NotAuthorizedException
from .errors import NotHandedOverError as NotHandedOverError
from .errors import OutsideRequestError as OutsideRequestError
from .errors import ResponseStartedError as ResponseStartedError
from .errors import SessionTooLargeError as SessionTooLargeError
from .errors import StepUpRequiredException as StepUpRequiredException
from .errors import TokenExpiredException as TokenExpiredException
from .errors import UserNotConfirmedException as UserNotConfirmedException
from .models import AuthUser as AuthUser
from .models import SignInDetails as SignInDetails
from .models import SignInFailure as SignInFailure
from .sessions.token import TokenSession as TokenSession
from .verbs.user import fetch_user_attributes as fetch_user_attributes
from .verbs.user import get_claim as get_claim
from .verbs.user import get_current_principal as get_current_principal
from .verbs.user import get_current_user as get_current_user
from .verbs.user import user_or_none as user_or_none
from .web.cookie_policy import CookiePolicy as CookiePolicy

__all__ = [
    "AmplifyConfig",
    "AmplifyCookies",
    "AuthError",
    "AuthRoutes",
    "AuthSession",
    "AuthUser",
    "BlockingCallError",
    "CognitoSession",
    "ConfigurationError",
    "CookiePolicy",
    "ForbiddenException",
    "InvalidRequestException",
    "Jwt",
    "Machine",
    "Needs",
    "NetworkError",
    "NewSignIn",
    "NotAuthorizedException",
    "NotHandedOverError",
    "OutsideRequestError",
    "PageContext",
    "RequestAuth",
    "RequestUser",
    "ResponseStartedError",
    "SealedSession",
    "ServerAuthManager",
    "SessionInfo",
    "SessionTooLargeError",
    "SignInDetails",
    "SignInFailure",
    "SignedInSession",
    "SignedInTokens",
    "StepUpRequiredException",
    "StoredSession",
    "TokenExpiredException",
    "TokenSession",
    "TokenSet",
    "Tokens",
    "UserNotConfirmedException",
    "UserPool",
    "acting_as",
    "carry",
    "end_session",
    "end_session_by_handle",
    "fetchAuthSession",
    "fetchUserAttributes",
    "fetch_auth_session",
    "fetch_user_attributes",
    "getCurrentUser",
    "get_claim",
    "get_current_principal",
    "get_current_user",
    "hand_over_user",
    "handle_server_auth",
    "list_sessions",
    "require_auth",
    "start_session",
    "user_of",
    "user_or_none",
]

getCurrentUser = get_current_user  # noqa: N816  # Amplify's own spelling
fetchUserAttributes = fetch_user_attributes  # noqa: N816

if TYPE_CHECKING:
    from .models.cognito import CognitoSession as CognitoSession
    from .models.machine import Machine as Machine
    from .models.session import AuthSession as AuthSession
    from .models.session import Jwt as Jwt
    from .models.session import NewSignIn as NewSignIn
    from .models.session import SessionInfo as SessionInfo
    from .models.session import SignedInSession as SignedInSession
    from .models.session import SignedInTokens as SignedInTokens
    from .models.session import Tokens as Tokens
    from .models.session import TokenSet as TokenSet
    from .needs import Needs as Needs
    from .sessions.amplify.sessions import AmplifyCookies as AmplifyCookies
    from .sessions.sealed import SealedSession as SealedSession
    from .sessions.stored import StoredSession as StoredSession
    from .verbs.acting import acting_as as acting_as
    from .verbs.acting import hand_over_user as hand_over_user
    from .verbs.devices import end_session_by_handle as end_session_by_handle
    from .verbs.devices import list_sessions as list_sessions
    from .verbs.end import end_session as end_session
    from .verbs.fetch import fetch_auth_session as fetch_auth_session
    from .verbs.guards import ServerAuthManager as ServerAuthManager
    from .verbs.guards import handle_server_auth as handle_server_auth
    from .verbs.guards import require_auth as require_auth
    from .verbs.request_user import RequestAuth as RequestAuth
    from .verbs.request_user import RequestUser as RequestUser
    from .verbs.start import start_session as start_session
    from .verbs.user_of import user_of as user_of
    from .web.pages import PageContext as PageContext

    fetchAuthSession = fetch_auth_session  # noqa: N816

_LATER: Final = {
    "AmplifyCookies": ".sessions.amplify.sessions",
    "AuthSession": ".models.session",
    "CognitoSession": ".models.cognito",
    "Jwt": ".models.session",
    "Machine": ".models.machine",
    "Needs": ".needs",
    "NewSignIn": ".models.session",
    "PageContext": ".web.pages",
    "RequestAuth": ".verbs.request_user",
    "RequestUser": ".verbs.request_user",
    "SealedSession": ".sessions.sealed",
    "ServerAuthManager": ".verbs.guards",
    "SessionInfo": ".models.session",
    "SignedInSession": ".models.session",
    "SignedInTokens": ".models.session",
    "StoredSession": ".sessions.stored",
    "TokenSet": ".models.session",
    "Tokens": ".models.session",
    "acting_as": ".verbs.acting",
    "end_session": ".verbs.end",
    "end_session_by_handle": ".verbs.devices",
    "fetch_auth_session": ".verbs.fetch",
    "hand_over_user": ".verbs.acting",
    "handle_server_auth": ".verbs.guards",
    "list_sessions": ".verbs.devices",
    "require_auth": ".verbs.guards",
    "start_session": ".verbs.start",
    "user_of": ".verbs.user_of",
}


def __getattr__(name: str) -> Any:
    """Import the names that a middleware does without when they are used: they take 20 ms."""
    spelled = "fetch_auth_session" if name == "fetchAuthSession" else name
    if spelled not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_LATER[spelled], __name__), spelled)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__version__ = "0.1.0"
