"""The setting `AMPLIFY_MW`: the rights of the pool's groups.

    AMPLIFY_MW = {
        "groups": {
            "editors": {"permissions": ["blog.change_post"], "groups": ["Editors"]},
            "admins": {"is_staff": True, "is_superuser": True},
        },
        "database_ttl": 60,
        "new_row": "mysite.people.new_row",
    }

Rules:
- Each key may be left out. An unknown one, or a wrong value, is a `ConfigurationError`.
- A group that is not listed here gives no rights, whatever the database has under its name.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from django.conf import settings

from ...errors import ConfigurationError, check_number, kind_of

ROWS: Final = "amplify_mw.integrations.django.rows"
USER_MIDDLEWARE: Final = "amplify_mw.integrations.django.UserMiddleware"
BACKEND: Final = "amplify_mw.integrations.django.backend.CognitoBackend"

_NAME: Final = "AMPLIFY_MW"
_KEYS: Final = ("groups", "database_ttl", "new_row")
_FLAGS: Final = ("is_staff", "is_superuser")
_RIGHTS: Final = ("permissions", "groups", *_FLAGS, "pool")
_LONGEST_TTL: Final = 86_400
_MOST_KNOWN: Final = 1000  # combinations of groups


class Granted(NamedTuple):
    """The rights of one of the pool's groups."""

    permissions: frozenset[str] = frozenset()
    """Names such as `blog.change_post`."""
    groups: frozenset[str] = frozenset()
    """Names of Django's groups, whose permissions count too."""
    is_staff: bool = False
    is_superuser: bool = False
    pool: str | None = None
    """The user pool whose group it is; None: any of them."""


NOTHING: Final = Granted()


class Rules:
    """The setting, as it is used. `groups`: rights by the names of the pool's groups."""

    def __init__(
        self, groups: Mapping[str, Granted], database_ttl: float, new_row: str | None
    ) -> None:
        self.groups: Mapping[str, Granted] = groups
        self.database_ttl: float = database_ttl
        self.new_row: str | None = new_row
        self._known: dict[tuple[str, tuple[str, ...]], Granted] = {}

    def granted(self, pool: str, groups: tuple[str, ...]) -> Granted:
        """All rights of a user of `pool` who is in `groups`."""
        found = self._known.get((pool, groups))
        if found is None:
            found = self._together(pool, groups)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[pool, groups] = found
        return found

    def _together(self, pool: str, groups: tuple[str, ...]) -> Granted:
        each = [self.groups[name] for name in groups if name in self.groups]
        each = [granted for granted in each if granted.pool in (None, pool)]
        return Granted(
            permissions=NOTHING.permissions.union(*(granted.permissions for granted in each)),
            groups=NOTHING.groups.union(*(granted.groups for granted in each)),
            is_staff=any(granted.is_staff for granted in each),
            is_superuser=any(granted.is_superuser for granted in each),
        )


_current: tuple[object, Rules] = (None, Rules({}, 60, None))


def rules() -> Rules:
    """The rules of the present settings. Raises `ConfigurationError`."""
    global _current
    value = getattr(settings, _NAME, None)
    if _current[0] is not value:  # at first, and in tests with `override_settings`
        _current = (value, parse(value))
    return _current[1]


def parse(value: object) -> Rules:
    """The rules that a value of the setting stands for. Raises `ConfigurationError`."""
    found = _mapping(_NAME, {} if value is None else value, _KEYS)
    groups = found.get("groups", {})
    if not isinstance(groups, Mapping):
        raise ConfigurationError(
            f"{_NAME}['groups']: write a dict, such as {{'editors': {{'is_staff': True}}}}; "
            f"got {kind_of(groups)}"
        )
    ttl = found.get("database_ttl", 60)
    check_number(f"{_NAME}['database_ttl']", ttl, 0, _LONGEST_TTL)
    new_row = found.get("new_row")
    if new_row is not None and not (isinstance(new_row, str) and "." in new_row):
        raise ConfigurationError(
            f"{_NAME}['new_row']: write a function's full name, such as 'mysite.people.new_row'"
        )
    return Rules({name: _granted(name, each) for name, each in groups.items()}, ttl, new_row)


def _granted(name: object, value: object) -> Granted:
    where = f"{_NAME}['groups'][{name!r}]"
    found = _mapping(where, value, _RIGHTS)
    for flag in _FLAGS:
        if not isinstance(found.get(flag, False), bool):
            raise ConfigurationError(f"{where}['{flag}']: write True or False")
    pool = found.get("pool")
    if pool is not None and not isinstance(pool, str):
        raise ConfigurationError(f"{where}['pool']: write a pool's id, such as 'eu-west-1_Ab12Cd'")
    permissions = _names(f"{where}['permissions']", found.get("permissions", ()))
    for permission in permissions:
        if "." not in permission:
            raise ConfigurationError(
                f"{where}['permissions']: write the app in front, as in 'blog.change_post'; "
                f"got {permission!r}"
            )
    return Granted(
        permissions,
        _names(f"{where}['groups']", found.get("groups", ())),
        found.get("is_staff", False),
        found.get("is_superuser", False),
        pool,
    )


def _mapping(where: str, value: object, keys: tuple[str, ...]) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where}: write a dict; got {kind_of(value)}")
    for key in value:
        if key not in keys:
            raise ConfigurationError(f"{where}: it has no {key!r}; it has {', '.join(keys)}")
    return value


def _names(where: str, value: object) -> frozenset[str]:
    is_list = isinstance(value, list | tuple | set | frozenset)
    if not is_list or not all(isinstance(each, str) and each for each in value):  # type: ignore[attr-defined]
        raise ConfigurationError(f"{where}: write a list of names; got {value!r}")
    return frozenset(value)  # type: ignore[call-overload, no-any-return]
