"""The user of a request or a socket as Django code sees it, settled when something reads it.

Rules:
- It goes by the visit: a session that a view starts or ends shows at once, and a token that runs
  out in a long response or an open socket leaves nobody.
- Read after the request, as tests read it in a response's context, it is what it was in there. If
  nothing has read it by then, `OutsideRequestError` is raised.
- In an open socket, new tokens of a session change the rights, and the row stays: the event loop
  cannot ask the database.
- Beside it there may be a user of Django's own session, who counts if nobody is signed in here by a
  cookie. A Bearer header counts alone.
- A view that reads a signed-in user is not kept by `cache_page`, whose key knows no user.
- Without a visit, the user of Django's session is there, as in a test with `force_login`; nobody
  would be an error: the middleware is missing.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

from asgiref.sync import sync_to_async
from django.apps import apps

from ...authenticator import Visit
from ...engine.context import signed_in_verdict
from ...errors import OutsideRequestError
from ...sessions.verdicts import SignedIn
from ...verbs.user import user_in
from .rights import are_known, permissions_of
from .settings import ROWS, rules
from .users import TokenUser, nobody

if TYPE_CHECKING:
    LazyObject = object  # it has no types
else:
    from django.utils.functional import LazyObject


def user_of(verdict: SignedIn, before: Any = None) -> Any:
    """Django's user for a verdict: with a row, which may ask the database, or without.

    `before`: the user of an earlier verdict, whose row is taken where the database cannot be asked.
    """
    granted = rules().granted(verdict.pool, verdict.user.groups)
    if not apps.is_installed(ROWS):
        return TokenUser(verdict, granted)
    from .rows.known import known_user  # it has models

    return known_user(verdict, granted, before) or nobody()


def is_at_hand(verdict: SignedIn) -> bool:
    """Whether `user_of` and `has_perm` will ask the database nothing."""
    if not are_known(rules().granted(verdict.pool, verdict.user.groups)):
        return False
    if not apps.is_installed(ROWS):
        return True
    from .rows.known import is_known

    return is_known(verdict)


class Found:
    """What is known of one request's user.

    `before`: Django's own user; `before_awaited`: a function for the same, awaited. `request`:
    Django's request, if there is one.
    """

    __slots__ = ("_before", "_before_awaited", "_request", "_seen", "_user", "_visit")

    def __init__(
        self,
        visit: Visit | None,
        before: Any = None,
        before_awaited: Callable[[], Awaitable[Any]] | None = None,
        request: Any = None,
    ) -> None:
        self._visit = visit
        self._before = before
        self._before_awaited = before_awaited
        self._request: Callable[[], Any] | None = None if request is None else ref(request)
        self._seen: SignedIn | None = None
        self._user: Any = None

    def user(self) -> Any:
        """The user. Raises `NetworkError` when that cannot be told now."""
        if self._user is not None and (self._visit is None or self._visit.has_ended):
            return self._user
        verdict = self._verdict()
        if self._user is None or verdict is not self._seen:
            other = self._before if self._may_be_other() else None
            self._settle(verdict, self._new(other, verdict))
        return self._user

    async def auser(self) -> Any:
        """The user, awaited."""
        verdict = self._verdict()
        if self._user is not None and verdict is self._seen:
            return self._user
        if verdict is None:
            ask = self._before_awaited if self._may_be_other() else None
            self._settle(None, self._else(None if ask is None else await ask()))
        else:
            self._settle(verdict, await auser_of(verdict))
        return self._user

    def _verdict(self) -> SignedIn | None:
        verdict = present_verdict(self._visit)
        if verdict is not None and self._request is not None:
            keep_from_cache(self._request())
        return verdict

    def _new(self, other: Any, verdict: SignedIn | None) -> Any:
        return self._else(other) if verdict is None else user_of(verdict, self._user)

    def _settle(self, verdict: SignedIn | None, user: Any) -> None:
        self._seen, self._user = verdict, user

    def _may_be_other(self) -> bool:
        return self._visit is None or self._visit.source.is_ambient

    def _else(self, other: Any) -> Any:
        """The user of Django's session, or nobody."""
        if other is not None and other.is_authenticated:
            return other
        if self._visit is None:
            raise OutsideRequestError
        return nobody()


class UserNow(LazyObject):
    """`request.user`: the user at the moment it is read."""

    def __init__(self, found: Found) -> None:
        self.__dict__["_found"] = found

    # Django's own looks twice at every attribute.
    __getattribute__: Callable[[Any, str], Any] = object.__getattribute__  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_found"].user(), name)

    @property
    def _wrapped(self) -> Any:
        return self.__dict__["_found"].user()

    def __repr__(self) -> str:
        return "<UserNow>"  # it stands in logs and in tracebacks, and must not ask


def keep_from_cache(request: Any) -> None:
    """Let `cache_page` not keep this response: it would give a user's page to others.

    (Its key has the headers in `Vary`, and is made before any middleware can write them.)
    """
    if request is not None:
        request._cache_update_cache = False


def present_verdict(visit: Visit | None) -> SignedIn | None:
    """The verdict of a signed-in user; None for nobody. Raises `NetworkError`."""
    if visit is None:
        return None
    verdict = visit.ask()
    if type(verdict) is SignedIn and not visit.stage:  # nearly always
        return verdict
    return None if user_in(visit) is None else signed_in_verdict(visit)


def user_of_visit(visit: Visit, request: Any) -> Any:
    """Django's user of a visit, without a look at Django's session."""
    verdict = present_verdict(visit)
    if verdict is None:
        return nobody()
    keep_from_cache(request)
    return user_of(verdict)


async def auser_of(verdict: SignedIn) -> Any:
    """`user_of`, awaited, with the permissions of Django's groups at hand."""
    return user_of(verdict) if is_at_hand(verdict) else await sync_to_async(_all_of)(verdict)


def _all_of(verdict: SignedIn) -> Any:
    permissions_of(rules().granted(verdict.pool, verdict.user.groups))
    return user_of(verdict)
