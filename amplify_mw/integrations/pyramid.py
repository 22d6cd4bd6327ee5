"""Pyramid: `config.include("amplify_mw.integrations.pyramid")`, and `AmplifySecurityPolicy`.

    with Configurator() as config:
        config.include("amplify_mw.integrations.pyramid")
        ...
    app = AmplifyWSGIMiddleware(config.make_wsgi_app(), amplify)

Rules:
- A denied permission is a 401 for nobody (or the way to sign in), and a 403 for a user. An
  `HTTPForbidden` that a view raises by itself stays the view's own answer.
- An `AuthError` has an exception view, so that neither an app's view for all exceptions nor the
  debug toolbar makes it a 500. The app's own view for it comes first. Those that escape Pyramid are
  answered by the middleware.
- The session's cookie is written by the middleware: no policy returns headers for it.
"""

from typing import Any

from pyramid.authorization import (
    ACLHelper,
    Authenticated,
    Everyone,
)
from pyramid.httpexceptions import HTTPForbidden
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from ..engine.context import current_visit
from ..errors import AuthError, ConfigurationError, ForbiddenException
from ..models import AuthUser
from ..verbs.end import end_session
from ..verbs.user import get_current_user, user_or_none
from .answering import answer_for


class AmplifySecurityPolicy:
    """Pyramid's security policy, by ACLs: the principals of a user are in `principals`.

    A subclass may change `permits`, or add to `principals`.
    """

    def __init__(self) -> None:
        self._acl: Any = ACLHelper()

    def identity(self, request: Any) -> AuthUser | None:  # noqa: ARG002  # Pyramid's signature
        """The signed-in user: `request.identity`. None for a visitor, and for a machine.

        Raises `NetworkError` when the user cannot be told now.
        """
        return user_or_none()

    def authenticated_userid(self, request: Any) -> str | None:
        """The user's `sub`, which never changes: `request.authenticated_userid`."""
        user = self.identity(request)
        return None if user is None else user.user_id

    def principals(self, request: Any) -> list[str]:
        """`Everyone`; for a user also `Authenticated`, the `sub`, and `group:editors` for groups.

        The groups are those of the pool, from the verified token.
        """
        user = self.identity(request)
        if user is None:
            return [Everyone]
        groups = [f"group:{name}" for name in user.groups]
        return [Everyone, Authenticated, user.user_id, *groups]

    def permits(self, request: Any, context: Any, permission: str) -> Any:
        """Whether the ACLs of `context` and of the resources above it permit this."""
        return self._acl.permits(context, self.principals(request), permission)

    def remember(
        self,
        request: Any,  # noqa: ARG002  # likewise
        userid: str,  # noqa: ARG002
        **options: Any,  # noqa: ARG002
    ) -> list[tuple[str, str]]:
        """Raises `ConfigurationError`: a session starts with Cognito's tokens, not with a name."""
        raise ConfigurationError(
            "remember: a session starts with Cognito's tokens; leave it to AuthRoutes, or call "
            "amplify_mw.start_session(tokens)"
        )

    def forget(
        self,
        request: Any,  # noqa: ARG002  # likewise
        **options: Any,
    ) -> list[tuple[str, str]]:
        """End the session at once, by `end_session(**options)`. Returns no headers.

        The middleware clears the cookie.
        """
        end_session(**options)
        return []


def includeme(config: Any) -> None:
    """Set the security policy, and the views for `AuthError` and for denied permissions.

    `config`: a `pyramid.config.Configurator`. What the app sets itself comes before each of them.
    """
    config.set_security_policy(AmplifySecurityPolicy())
    config.add_exception_view(_refuse, context=AuthError)
    config.add_forbidden_view(_forbid)
    config.add_view_deriver(_guarding, name="amplify_guard")


class _Answer(Response):  # type: ignore[misc]  # it has no types
    """WebOb's own would make a redirect absolute, by the request's `Host`: any client's word."""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Send it as it is."""
        start_response(self.status, self.headerlist)
        return [b""] if environ["REQUEST_METHOD"] == "HEAD" else self.app_iter


def _refuse(error: AuthError, request: Any) -> Any:
    """The exception view."""
    answer = answer_for(request.environ, error)
    return _Answer(answer.body, answer.status, list(answer.headers))


def _forbid(forbidden: Any, request: Any) -> Any:
    """The answer to `HTTPForbidden`."""
    is_permission = isinstance(forbidden, HTTPForbidden) and forbidden.result is not None
    if not is_permission:
        return forbidden
    current_visit().guard()
    try:
        get_current_user()
    except AuthError as error:
        return _refuse(error, request)
    return _refuse(ForbiddenException(reason="not_permitted"), request)


def _guarding(view: Any, info: Any) -> Any:
    """Note that a view with a permission is guarded, so that browsers do not keep its page."""
    if info.options.get("permission") in (None, NO_PERMISSION_REQUIRED):
        return view

    def guarded(context: Any, request: Any) -> Any:
        current_visit().guard()
        return view(context, request)

    return guarded


_guarding.options = ("permission",)  # type: ignore[attr-defined]  # Pyramid asks for it
