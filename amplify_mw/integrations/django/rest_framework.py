"""Django REST framework: `AmplifyAuthentication`, and `has_group`.

    REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "amplify_mw.integrations.django.rest_framework.AmplifyAuthentication",
        ],
    }

    class PostViewSet(ModelViewSet):
        permission_classes = [IsAuthenticated & has_group("editors")]

Rules:
- The credential is what the middleware around the app has read: the session's cookie, and with
  `bearer=True` a Bearer header.
- Nobody is a 401 with the middleware's challenges, a missing right a 403.
- A header that is refused stops the request (401), on views for everybody, too. A refused cookie is
  no credential: the browser's user goes on as a visitor, and the cookie is cleared.
- If the user cannot be told now, the answer is 503.
- Forged requests are the outer middleware's to refuse. With `csrf=None`, Django's token is asked
  for here, as `SessionAuthentication` does.
"""

from typing import TYPE_CHECKING, Any

from rest_framework.permissions import BasePermission

from ...engine.context import bound, current_visit
from ...errors import NotAuthorizedException
from ...models import AuthUser
from ...models.machine import Machine
from ...sessions.verdicts import KnownMachine, Refused
from ..answering import asked_of
from .middleware import bare
from .present import user_of_visit
from .users import nobody

if TYPE_CHECKING:
    SessionAuthentication = object  # it has no types
else:
    from rest_framework.authentication import SessionAuthentication


class AmplifyAuthentication(SessionAuthentication):
    """`request.user` is the user of the request, `request.auth` how: an `AuthUser`.

    For a machine's token, `request.user` is nobody, and `request.auth` a `Machine`.
    """

    def authenticate(self, request: Any) -> tuple[Any, Any] | None:
        """The user and its `AuthUser`, or None. Raises the `AuthError` of a refused header."""
        visit = current_visit()
        verdict = visit.verdict
        if isinstance(verdict, KnownMachine):
            machine: Machine = verdict.machine
            return nobody(), machine
        if isinstance(verdict, Refused) and not visit.source.is_ambient:
            raise verdict.exception()
        user = user_of_visit(visit, request._request)
        if not user.is_authenticated:
            return None
        if visit.source.is_ambient and visit.home.config.csrf is None and not visit.pinned:
            self.enforce_csrf(request)  # type: ignore[attr-defined]
        return user, visit.verdict.user

    def authenticate_header(self, request: Any) -> str:
        """The challenge of a 401, as the middleware sends it."""
        visit = current_visit()
        asked = asked_of(bare(request._request), visit.home.mounts.place_of)
        error = NotAuthorizedException(reason="no_session")
        answer = visit.source.refusals.answer_for(asked._replace(accept=""), error)
        return ", ".join(value for name, value in answer.headers if name == "WWW-Authenticate")


def has_group(*names: str) -> type[Any]:
    """A permission class: the user is in one of these groups of the pool."""

    class HasGroup(BasePermission):
        """The user is in one of the pool's groups."""

        message: str = "A group is missing."

        def has_permission(self, request: Any, view: Any) -> bool:  # noqa: ARG002
            """Whether the user is in one of the groups."""
            visit = bound()
            if visit is not None:  # (a test may have no middleware)
                visit.guard()
            user = getattr(request.user, "auth_user", None)  # a local user has none
            return isinstance(user, AuthUser) and any(user.has_group(name) for name in names)

    return HasGroup
