"""The user of a request without a row, and nobody.

Rules:
- It is what the verified token says, and never waits. There is no database in it.
- Its class is no model's: what needs a row (the admin, a foreign key) needs `rows`.
"""

from typing import Any

from django.apps import apps

from ...models import AuthUser
from ...needs import claims
from ...sessions.verdicts import SignedIn
from .rights import Rights
from .settings import Granted


class TokenUser(Rights):
    """A signed-in user without a row: Django's attributes of a user, from the token.

    `groups` are the names of the pool's groups. `email` and the names are "" if the token has none.
    """

    is_authenticated: bool = True
    is_anonymous: bool = False
    is_active: bool = True

    def __init__(self, verdict: SignedIn, granted: Granted) -> None:
        self._verdict = verdict
        self._granted: Granted = granted
        self._claims: dict[str, Any] | None = None

    @property
    def auth_user(self) -> AuthUser:
        """The `AuthUser`."""
        return self._verdict.user

    @property
    def pk(self) -> str:
        """The `sub` claim, which never changes."""
        return self._verdict.user.user_id

    id = pk
    user_id = pk

    @property
    def username(self) -> str:
        """The pool's name for the user."""
        return self._verdict.user.username

    @property
    def groups(self) -> tuple[str, ...]:
        """The pool's groups of the user, by name."""
        return self._verdict.user.groups

    def has_group(self, name: str) -> bool:
        """Whether the user is in a group of the pool."""
        return name in self._verdict.user.groups

    @property
    def email(self) -> str:
        """The claim `email`."""
        return self._claim("email")

    @property
    def first_name(self) -> str:
        """The claim `given_name`."""
        return self._claim("given_name")

    @property
    def last_name(self) -> str:
        """The claim `family_name`."""
        return self._claim("family_name")

    def get_username(self) -> str:
        """The pool's name for the user."""
        return self.username

    def get_full_name(self) -> str:
        """The claim `name`, else the first and the last name."""
        return self._claim("name") or f"{self.first_name} {self.last_name}".strip()

    def get_short_name(self) -> str:
        """The first name."""
        return self.first_name

    def _claim(self, name: str) -> str:
        if self._claims is None:
            self._claims = claims(self._verdict)
        value = self._claims.get(name)
        return value if isinstance(value, str) else ""

    def __str__(self) -> str:
        return self.username

    def __repr__(self) -> str:
        return f"<TokenUser {self.username!r}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TokenUser):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str]:
        return self._verdict.pool, self._verdict.user.user_id

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "request.user holds this request's tokens and is not pickled; keep request.user.pk"
        )


class Nobody:
    """Nobody is signed in, in a project without `django.contrib.auth`. (Else: Django's own.)"""

    is_authenticated: bool = False
    is_anonymous: bool = True
    is_active: bool = False
    is_staff: bool = False
    is_superuser: bool = False
    pk: None = None
    id: None = None
    username: str = ""
    groups: tuple[str, ...] = ()

    def get_username(self) -> str:
        """Nothing."""
        return ""

    def has_perm(self, perm: str, obj: Any = None) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def has_perms(self, perm_list: Any, obj: Any = None) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def has_module_perms(self, app_label: str) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def __str__(self) -> str:
        return "AnonymousUser"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Nobody)

    def __hash__(self) -> int:
        return 1


def nobody() -> Any:
    """Django's `AnonymousUser`, or the same without Django's models."""
    if not apps.is_installed("django.contrib.auth"):
        return Nobody()
    from django.contrib.auth.models import AnonymousUser

    return AnonymousUser()
