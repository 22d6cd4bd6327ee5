"""The visitor's profile, made by functions without arguments: no request, no session."""

from dataclasses import dataclass

from amplify_mw import AuthUser, fetch_user_attributes, get_current_user


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as this application thinks of people."""

    name: str
    user: AuthUser
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Profile:
    """The content of the profile page."""

    greeting: str
    person: Person


def make_profile() -> Profile:
    """The first call: the page asks for a profile, and hands nothing in."""
    person = find_person()
    return Profile(f"Hello, {person.name}.", person)


def find_person() -> Person:
    """The second call: it was handed nothing, and hands nothing on."""
    user, attributes = ask_who_it_is()
    return Person(attributes.get("name", user.username), user, attributes)


def ask_who_it_is() -> tuple[AuthUser, dict[str, str]]:
    """The third call: no request in sight, it just asks."""
    return get_current_user(), fetch_user_attributes()
