"""A user's rights by the verified token: the methods that Django's users have for them.

Rules:
- A permission of the mapping counts for all objects of a model, so like Django's own it says
  nothing on a single one (`obj`).
- Other backends of AUTHENTICATION_BACKENDS are asked afterwards, in their order.
- `is_staff` and `is_superuser` are those of the mapping alone.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.exceptions import PermissionDenied

from .remembering import Remembered
from .settings import NOTHING, Granted, rules

_AUTH: Final = "django.contrib.auth"

_permissions = Remembered()


class OfRequest:
    """The rights of a user in one request, held by a row. A copy that outlives it has none.

    `lowered`: flags that the row has in the database, and not here.
    """

    __slots__ = ("granted", "lowered")

    granted: Granted
    lowered: Sequence[str]

    def __init__(self, granted: Granted, lowered: Sequence[str] = ()) -> None:
        self.granted = granted
        self.lowered = lowered

    def __reduce__(self) -> tuple[Any, ...]:
        return OfRequest, (NOTHING,)

    def __deepcopy__(self, memo: object) -> "OfRequest":
        return OfRequest(NOTHING)


def permissions_of(granted: Granted) -> frozenset[str]:
    """The permissions, with those of Django's groups, which are read at most once a while."""
    if not granted.groups or not apps.is_installed(_AUTH):
        return granted.permissions
    found = _permissions.get(granted.groups)
    if found is None:
        found = _read(granted.groups)
    return granted.permissions | found  # type: ignore[no-any-return]


def are_known(granted: Granted) -> bool:
    """Whether `permissions_of` will ask the database nothing."""
    is_needed = granted.groups and apps.is_installed(_AUTH)
    return not is_needed or _permissions.get(granted.groups) is not None


def _read(groups: frozenset[str]) -> frozenset[str]:
    from django.contrib.auth.models import Permission  # only where auth is installed

    query = Permission.objects.filter(group__name__in=groups).order_by()
    pairs = query.values_list("content_type__app_label", "codename")
    found = frozenset(f"{label}.{name}" for label, name in pairs)
    _permissions.keep(groups, found, rules().database_ttl, query.db)
    return found


class Rights:
    """The methods for rights. A class with these has `_granted`."""

    _granted: Granted

    @property
    def is_staff(self) -> bool:
        """Whether the mapping says so: the user may enter the admin."""
        return self._granted.is_staff

    @property
    def is_superuser(self) -> bool:
        """Whether the mapping says so: the user may do everything."""
        return self._granted.is_superuser

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Whether the user has a permission, such as `blog.change_post`."""
        if self._granted.is_superuser or (obj is None and perm in permissions_of(self._granted)):
            return True
        return _any_backend("has_perm", self, perm, obj)

    def has_perms(self, perm_list: Iterable[str], obj: Any = None) -> bool:
        """Whether the user has all of these permissions."""
        if isinstance(perm_list, str):
            raise TypeError("has_perms: write a list of permissions")
        return all(self.has_perm(perm, obj) for perm in perm_list)

    def has_module_perms(self, app_label: str) -> bool:
        """Whether the user has any permission of an app."""
        if self._granted.is_superuser:
            return True
        start = f"{app_label}."
        if any(perm.startswith(start) for perm in permissions_of(self._granted)):
            return True
        return _any_backend("has_module_perms", self, app_label)

    def get_user_permissions(self, obj: Any = None) -> set[str]:
        """The permissions that the mapping names."""
        return set() if obj is not None else set(self._granted.permissions)

    def get_group_permissions(self, obj: Any = None) -> set[str]:
        """The permissions of Django's groups that the mapping names."""
        return set() if obj is not None else set(permissions_of(self._granted))

    def get_all_permissions(self, obj: Any = None) -> set[str]:
        """All of them, with those of other backends."""
        found = self.get_group_permissions(obj)
        for backend in _other_backends(self):
            if hasattr(backend, "get_all_permissions"):
                found |= backend.get_all_permissions(self, obj)
        return found

    async def ahas_perm(self, perm: str, obj: Any = None) -> bool:
        """`has_perm`, awaited."""
        return await sync_to_async(self.has_perm)(perm, obj)

    async def ahas_perms(self, perm_list: Iterable[str], obj: Any = None) -> bool:
        """`has_perms`, awaited."""
        return await sync_to_async(self.has_perms)(perm_list, obj)

    async def ahas_module_perms(self, app_label: str) -> bool:
        """`has_module_perms`, awaited."""
        return await sync_to_async(self.has_module_perms)(app_label)

    async def aget_user_permissions(self, obj: Any = None) -> set[str]:
        """`get_user_permissions`, awaited."""
        return self.get_user_permissions(obj)

    async def aget_group_permissions(self, obj: Any = None) -> set[str]:
        """`get_group_permissions`, awaited."""
        return await sync_to_async(self.get_group_permissions)(obj)

    async def aget_all_permissions(self, obj: Any = None) -> set[str]:
        """`get_all_permissions`, awaited."""
        return await sync_to_async(self.get_all_permissions)(obj)


def _any_backend(question: str, user: Any, *of: Any) -> bool:
    for backend in _other_backends(user):
        if hasattr(backend, question):
            try:
                if getattr(backend, question)(user, *of):
                    return True
            except PermissionDenied:  # Django's word for: ask no other
                return False
    return False


def _other_backends(user: Any) -> list[Any]:
    """The backends beside ours. Django's own reads a row, so it is left out for users without."""
    if not apps.is_installed(_AUTH):
        return []
    from django.contrib import auth
    from django.contrib.auth.backends import ModelBackend

    found = [each for each in auth.get_backends() if not hasattr(each, "answers_by_token")]
    if not hasattr(user, "_meta"):
        found = [each for each in found if not isinstance(each, ModelBackend)]
    return found
