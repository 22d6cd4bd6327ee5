"""The users of the demo's pool."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from amplify_mw.testing import LocalUserPool

PASSWORD: Final = "correct horse"  # noqa: S105 - printed on the home page


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the demo. `shows`: what to try as this user, in a sentence."""

    username: str
    name: str
    shows: str
    attributes: Mapping[str, str]
    groups: tuple[str, ...] = ()
    confirmed: bool = True


PEOPLE: Final = (
    Person(
        "ada",
        "Ada Lovelace",
        "In the group admins: every page opens.",
        {"email": "ada@example.com", "locale": "en-GB"},
        groups=("admins",),
    ),
    Person(
        "grace",
        "Grace Hopper",
        "In no group: the admins\N{RIGHT SINGLE QUOTATION MARK} page answers 403.",
        {"email": "grace@example.com", "phone_number": "+12025550143"},
    ),
    Person(
        "alan",
        "Alan Turing",
        "Never confirmed: the user pool lets nobody in with this account.",
        {"email": "alan@example.com"},
        confirmed=False,
    ),
)

# For the pool's sign-in page.
NOTES: Final = {
    person.username: f"{person.name}. Password: {PASSWORD}. {person.shows}" for person in PEOPLE
}


def add_people(pool: LocalUserPool) -> None:
    """Put everybody into `pool`."""
    for person in PEOPLE:
        pool.add_user(
            person.username,
            PASSWORD,
            groups=person.groups,
            confirmed=person.confirmed,
            attributes={"name": person.name, **person.attributes},
        )
