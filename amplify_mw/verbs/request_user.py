"""The user of a request as an object, for frameworks that hand one out (`request.user`).

Rules:
- Nothing is decided when the object is made: each attribute asks the request's visit when it is
  read, by the rules of `get_current_user`. A session started or ended in a view shows at once.
- It knows its visit, and needs no context: it works on every thread, as long as the request lasts.
- Nobody is in no group and has no name to show (`display_name` is empty). The other attributes
  raise the `AuthError` of `get_current_user`, so that no view can take a visitor for a user. It is
  an `AttributeError` as well: for `getattr` with a default, `hasattr` and templates, such an
  attribute is missing, as code of other packages expects.
- A machine is nobody here, and has no scopes: only `principal` knows it.
- A layer further in may have its own user. Most put it in place of ours; Django Channels writes
  it into ours, which is Channels' user from then on.
"""

from typing import TYPE_CHECKING, Any, Final

from ..authenticator import Visit
from ..engine.context import signed_in_verdict
from ..errors import NotAuthorizedException, TokenExpiredException
from ..models import AuthUser
from .user import known_machine, user_in

if TYPE_CHECKING:
    from ..models.machine import Machine

AUTHENTICATED: Final = "authenticated"  # a name in `scopes`, as Starlette has it


class _NotAuthorized(NotAuthorizedException, AttributeError):  # type: ignore[misc]  # `name`
    """The `NotAuthorizedException` of an attribute that nobody has."""

    def __init__(self, *given: Any, **facts: Any) -> None:
        super().__init__(*given, **facts)
        # Python would write the attribute into an empty `name`, which is the error's own here.
        AttributeError.__init__(self, self.message, name=self.name)

    def __repr__(self) -> str:
        return f"{self.name}({self.message!r})"


class _TokenExpired(_NotAuthorized, TokenExpiredException):  # type: ignore[misc]  # likewise
    """The `TokenExpiredException` of an attribute that nobody has any longer."""


def missing(error: NotAuthorizedException) -> NotAuthorizedException:
    """The same error, which is an `AttributeError`, too."""
    kind = _TokenExpired if isinstance(error, TokenExpiredException) else _NotAuthorized
    found = kind(error.message, reason=error.reason)
    found.__dict__.update(error.__dict__)
    return found


class RequestUser:
    """The user of one request: `AuthUser`'s attributes, asked for when they are read.

    True in a condition if somebody is signed in. As text: the user name, or "" for nobody.
    """

    __slots__ = ("_visit",)

    _visit: Visit

    @staticmethod
    def of(visit: Visit) -> "RequestUser":
        """The user of a visit. (An `__init__` would cost each request 0.05 µs more.)"""
        user = RequestUser()
        user._visit = visit
        return user

    @property
    def is_authenticated(self) -> bool:
        """Whether a user is signed in; False for a machine.

        Raises `NetworkError` when the user cannot be told now.
        """
        return user_in(self._visit) is not None

    @property
    def is_anonymous(self) -> bool:
        """The opposite of `is_authenticated`."""
        return not self.is_authenticated

    @property
    def user(self) -> AuthUser:
        """The `AuthUser`. Raises the errors of `get_current_user`.

        So do the attributes below, but for groups and `display_name`. The error for nobody is an
        `AttributeError`, too.
        """
        self._visit.ask()
        try:
            return signed_in_verdict(self._visit).user
        except NotAuthorizedException as nobody:
            raise missing(nobody) from None

    @property
    def principal(self) -> "AuthUser | Machine":
        """The user, or the machine whose token came. Raises as `get_current_principal`."""
        try:
            machine = known_machine(self._visit)
        except NotAuthorizedException as expired:
            raise missing(expired) from None
        return self.user if machine is None else machine.machine

    @property
    def username(self) -> str:
        """The pool's name for the user."""
        return self.user.username

    @property
    def user_id(self) -> str:
        """The `sub` claim, which never changes."""
        return self.user.user_id

    @property
    def identity(self) -> str:
        """The same, by Starlette's name."""
        return self.user.user_id

    @property
    def groups(self) -> tuple[str, ...]:
        """The pool's groups of the user; none for nobody."""
        user = user_in(self._visit)
        return () if user is None else user.groups

    def has_group(self, name: str) -> bool:
        """Whether the user is in a group of the pool; False for nobody."""
        return name in self.groups

    @property
    def display_name(self) -> str:
        """The user name, or "" for nobody."""
        user = user_in(self._visit)
        return "" if user is None else user.username

    def to_dict(self) -> dict[str, Any]:
        """See `AuthUser.to_dict`."""
        return self.user.to_dict()

    def __bool__(self) -> bool:
        return self.is_authenticated

    def __str__(self) -> str:
        return self.display_name

    def __deepcopy__(self, memo: object) -> "RequestUser":
        return self  # (some copy a whole scope)

    def __repr__(self) -> str:
        return "<RequestUser>"  # (a repr must not ask: it stands in logs and in tracebacks)

    def _become(self, user: object) -> None:
        """Be another layer's user from now on."""
        self._visit = user  # type: ignore[assignment]  # the one slot there is
        self.__class__ = _ReplacedUser

    # Channels' `AuthMiddleware` keeps the user it finds, and sets this, as of a lazy object.
    _wrapped = property(None, _become)


class _ReplacedUser(RequestUser):
    """Another layer's user, in an object of ours."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_visit"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_wrapped":  # once more
            object.__setattr__(self, "_visit", value)
        else:
            setattr(object.__getattribute__(self, "_visit"), name, value)

    def __bool__(self) -> bool:
        return bool(object.__getattribute__(self, "_visit"))

    def __eq__(self, other: object) -> bool:
        return bool(object.__getattribute__(self, "_visit") == other)

    def __hash__(self) -> int:
        return hash(object.__getattribute__(self, "_visit"))

    def __str__(self) -> str:
        return str(object.__getattribute__(self, "_visit"))

    def __repr__(self) -> str:
        return repr(object.__getattribute__(self, "_visit"))


class RequestAuth:
    """The permissions of one request's user, by Starlette's rules: `@requires("editors")`.

    `scopes`: "authenticated" and the pool's groups of the user; empty for nobody and for machines.
    (The OAuth scopes of a token are not among them, lest a group be taken for a scope: see
    `require_auth(scopes=)`.) True in a condition if somebody is signed in.
    """

    __slots__ = ("_visit",)

    _visit: Visit

    @staticmethod
    def of(visit: Visit) -> "RequestAuth":
        """The permissions of a visit."""
        auth = RequestAuth()
        auth._visit = visit
        return auth

    @property
    def scopes(self) -> list[str]:
        """Their names. Raises `NetworkError` when the user cannot be told now.

        A response depending on them is a guarded one: browsers do not keep it.
        """
        self._visit.guard()
        user = user_in(self._visit)
        return [] if user is None else [AUTHENTICATED, *user.groups]

    def __bool__(self) -> bool:
        return user_in(self._visit) is not None

    def __deepcopy__(self, memo: object) -> "RequestAuth":
        return self

    def __repr__(self) -> str:
        return "<RequestAuth>"
