"""`CognitoBackend`: permissions by the token, for AUTHENTICATION_BACKENDS.

Rules:
- It knows no password, and restores nobody from a session of Django's: with this backend alone,
  the pool is the only way in.
- It answers for the user of this request. For another row, such as one from a query, it has no
  rights to give: nobody's token says any.
"""

from typing import Any, Final

from .rights import OfRequest, permissions_of
from .settings import NOTHING, Granted


class CognitoBackend:
    """The rights of the pool's groups, by the setting `AMPLIFY_MW`.

    `request.user` has them in any case. With this backend the row's own methods, which ask
    `self.has_perm`, have them too.
    """

    answers_by_token: Final = True

    def authenticate(self, request: Any, **credentials: Any) -> None:  # noqa: ARG002
        """Nobody: the pool's sign-in page takes passwords."""
        return

    async def aauthenticate(self, request: Any, **credentials: Any) -> None:  # noqa: ARG002
        """Nobody."""
        return

    def get_user(self, user_id: Any) -> None:  # noqa: ARG002
        """Nobody: a session of Django's says nothing about the pool's."""
        return

    async def aget_user(self, user_id: Any) -> None:  # noqa: ARG002
        """Nobody."""
        return

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Whether the user of this request has a permission by the token."""
        granted = _granted(user_obj)
        return granted.is_superuser or (obj is None and perm in permissions_of(granted))

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Whether the user of this request has any permission of an app by the token."""
        granted = _granted(user_obj)
        start = f"{app_label}."
        return granted.is_superuser or any(
            perm.startswith(start) for perm in permissions_of(granted)
        )

    def get_user_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """The permissions that the mapping names."""
        return set() if obj is not None else set(_granted(user_obj).permissions)

    def get_group_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Those of Django's groups that the mapping names."""
        return set() if obj is not None else set(permissions_of(_granted(user_obj)))

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """All of them."""
        return self.get_group_permissions(user_obj, obj)


def _granted(user: Any) -> Granted:
    held = getattr(user, "__dict__", {}).get("_amplify_mw")
    return held.granted if isinstance(held, OfRequest) else NOTHING
