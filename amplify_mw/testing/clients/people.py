"""A user of a test: the options of `SignedInClients`, and the user's tokens.

Rules:
- A new user is added to the pool. A known one gets the groups and attributes that are given, and
  keeps the others, the password and the sign-ins. Nobody gets another `sub`.
- The tokens are of one sign-in at the pool, as those of any app. `claims`, `acr` and `auth_time`
  are members of both.
"""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Final, TypedDict

from ...models.session import TokenSet
from ..identity import claims_of_sign_in, refuse_other_types
from ..pool.pool import LocalUserPool

_OPTIONS: Final = frozenset({"groups", "attributes", "claims", "acr", "auth_time"})


class Person(TypedDict, total=False):
    """A user of a test. Any other attribute of Cognito's goes into `attributes`."""

    groups: Iterable[str]
    """The user's groups. Default: none."""

    attributes: Mapping[str, str]
    """Attributes of any name, such as `{"custom:plan": "gold"}`. Default: none."""

    claims: Mapping[str, Any]
    """More members of both tokens, as a trigger of the pool would add them. Default: none."""

    acr: str
    """How the user has signed in: the claim `acr` of both tokens. Default: without."""

    auth_time: float
    """The time of the sign-in, in seconds since the epoch. Default: now."""

    sub: str
    email: str
    name: str
    given_name: str
    family_name: str
    preferred_username: str
    phone_number: str
    locale: str
    picture: str


def tokens_of(
    pool: LocalUserPool, username: str, person: Person, audience: str | None = None
) -> TokenSet:
    """Tokens of a new sign-in. `audience`: the API that the access token is for."""
    _ensure(pool, username, person)
    claims = claims_of_sign_in(
        person.get("claims"), person.get("acr"), person.get("auth_time"), "amplify_client"
    )
    access = claims if audience is None else {"aud": audience, **claims}
    with ExitStack() as changes:
        if claims:
            changes.enter_context(pool.tamper("id", claims=claims))
        if access:
            changes.enter_context(pool.tamper("access", claims=access))
        return pool.sign_in(username)


def _ensure(pool: LocalUserPool, username: str, person: Person) -> None:
    """Have the user in the pool, with these groups and attributes."""
    for name in person.keys() - Person.__annotations__.keys():
        raise TypeError(
            f"amplify_client: there is no option {name!r}; an attribute of that name is written as "
            f"attributes={{{name!r}: ...}}, and the options are {', '.join(Person.__annotations__)}"
        )
    groups = person.get("groups")
    attributes = {**person.get("attributes", {}), **_attributes(person)}
    refuse_other_types(attributes, "amplify_client", groups=groups)
    if username not in pool.usernames:
        pool.add_user(username, groups=groups or (), attributes=attributes)
        return
    if "sub" in attributes:
        raise ValueError(
            f"amplify_client: {username!r} is in the pool already, with a sub of its own; say it "
            "with the first client of this user"
        )
    pool.change_user(username, groups=groups, attributes=attributes)


def _attributes(person: Person) -> dict[str, Any]:
    return {name: value for name, value in person.items() if name not in _OPTIONS}
