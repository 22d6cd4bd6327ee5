"""The users of the demo's pool."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from amplify_mw.testing import LocalUserPool

PASSWORD: Final = "correct horse"  # noqa: S105 - printed on the home page


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the demo; `about` says in a few words why it is there."""

    username: str
    about: str
    attributes: Mapping[str, str]
    groups: tuple[str, ...] = ()
    confirmed: bool = True


PEOPLE: Final = (
    Person(
        "ada",
        "Ada Lovelace, in the group admins",
        {"name": "Ada Lovelace", "email": "ada@example.com", "locale": "en-GB"},
        groups=("admins",),
    ),
    Person(
        "grace",
        "Grace Hopper, with a phone number",
        {"name": "Grace Hopper", "email": "grace@example.com", "phone_number": "+12025550143"},
    ),
    Person(
        "alan",
        "Alan Turing, who cannot sign in: the account was never confirmed",
        {"name": "Alan Turing", "email": "alan@example.com"},
        confirmed=False,
    ),
)


def add_people(pool: LocalUserPool) -> None:
    """Put everybody into `pool`."""
    for person in PEOPLE:
        pool.add_user(
            person.username,
            PASSWORD,
            groups=person.groups,
            confirmed=person.confirmed,
            attributes=person.attributes,
        )
