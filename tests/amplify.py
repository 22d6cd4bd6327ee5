"""What a browser with Amplify JS would send, and what it keeps: for tests of Amplify's cookies.

Nothing here is taken from the library under test. The spelling is js-cookie's: `encodeURIComponent`
but for the characters that it leaves as they are.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.shells import AppAnswer, Ask, Got
from tests.sites import Action, Browser, Site, attributes

PREFIX = "CognitoIdentityServiceProvider"
CLIENT = "local-client"  # that of a `LocalUserPool`
TOKENS = ("accessToken", "idToken", "refreshToken")
HOST = "app.example.com"


def spelled_name(user: str) -> str:
    """A user in a cookie's name, as js-cookie writes it."""
    return quote(user, safe="!~*'#$&+^`|")


def spelled_value(text: str) -> str:
    """A cookie's value, as js-cookie writes it."""
    return quote(text, safe="!~*'()#$&+/:<=>?@[]^`{|}")


def details_of(login_id: str, flow: str = "USER_SRP_AUTH") -> str:
    """The JSON of `signInDetails`."""
    return json.dumps({"loginId": login_id, "authFlowType": flow}, separators=(",", ":"))


def last_auth_user(client: str = CLIENT) -> str:
    """The name of the cookie that says which user's cookies count."""
    return f"{PREFIX}.{client}.LastAuthUser"


def name_of(suffix: str, user: str = "ada", client: str = CLIENT) -> str:
    """The name of one of a user's cookies."""
    return f"{PREFIX}.{client}.{spelled_name(user)}.{suffix}"


def names_of(*suffixes: str, user: str = "ada", client: str = CLIENT) -> set[str]:
    """The names of some of a user's cookies, and that of `LastAuthUser`."""
    own = {name_of(suffix, user, client) for suffix in suffixes}
    return {last_auth_user(client), *own}


def cookies_of(
    tokens: Any, user: str = "ada", client: str = CLIENT, **more: str | None
) -> dict[str, str]:
    """The cookies that Amplify JS sets for a user when `tokens` come.

    `tokens`: a `TokenSet`; what is None in it, or empty, has no cookie. `more`: further values by
    their suffixes, such as `signInDetails="{}"`, in place of what there would be; None leaves one
    out.
    """
    values: dict[str, str | None] = {
        "accessToken": tokens.access_token,
        "idToken": tokens.id_token,
        "refreshToken": tokens.refresh_token,
        "signInDetails": details_of(user),
        "clockDrift": "0",
    }
    kept = {suffix: value for suffix, value in (values | more).items() if value is not None}
    own = {name_of(suffix, user, client): spelled_value(value) for suffix, value in kept.items()}
    for suffix in TOKENS:
        if not own.get(name_of(suffix, user, client), "-"):
            del own[name_of(suffix, user, client)]
    return {last_auth_user(client): spelled_value(user), **own}


def http_only_cookies_of(tokens: Any, user: str = "ada", client: str = CLIENT) -> dict[str, str]:
    """The cookies that a Next server sets in its HttpOnly mode."""
    return cookies_of(tokens, user, client, signInDetails=None, clockDrift=None)


def header_of(cookies: Mapping[str, str]) -> str:
    """A `Cookie` header."""
    return "; ".join([f"{name}={value}" for name, value in cookies.items()])


class Kept(NamedTuple):
    """What tells two cookies of a browser apart (RFC 6265bis 5.7)."""

    name: str
    domain: str
    path: str


class Jar:
    """The cookies of a browser on one host; those of one name and different places stay apart.

    A host's own cookies have the domain ''.
    """

    def __init__(self, host: str = HOST) -> None:
        self.host = host
        self.kept: dict[Kept, str] = {}

    def put(self, cookies: Mapping[str, str], *, domain: str = "", path: str = "/") -> None:
        """Set cookies, as a script does."""
        for name, value in cookies.items():
            self.kept[Kept(name, domain.lower().lstrip("."), path)] = value

    def store(self, line: str, asked: str = "/") -> None:
        """Do what a `Set-Cookie` line says, in the answer to a request for the path `asked`."""
        name, _, value = line.partition(";")[0].partition("=")
        facts = attributes(line)
        domain = facts.get("domain", "").lower().lstrip(".")
        if domain and not f".{self.host}".endswith(f".{domain}"):
            return
        path = facts.get("path") or asked.rpartition("/")[0] or "/"
        place = Kept(name.strip(), domain, path)
        if int(facts.get("max-age", "1")) <= 0:
            self.kept.pop(place, None)
        elif len(name) + len(value) <= 4096:
            self.kept[place] = value

    def header(self, asked: str = "/") -> str:
        """What is sent with a request for a path: longer paths first, then as they came."""
        sent = [place for place in self.kept if _covers(place.path, asked)]
        sent.sort(key=lambda place: -len(place.path))
        return "; ".join([f"{place.name}={self.kept[place]}" for place in sent])

    def names(self) -> list[str]:
        """The names of all that is kept, sorted; one that is there twice comes twice."""
        return sorted(place.name for place in self.kept)

    def __getitem__(self, name: str) -> str:
        (value,) = [value for place, value in self.kept.items() if place.name == name]
        return value

    def copy(self) -> "Jar":
        """One with the same cookies."""
        other = Jar(self.host)
        other.kept = dict(self.kept)
        return other


def _covers(path: str, asked: str) -> bool:
    return asked == path or asked.startswith(path.rstrip("/") + "/")


class AmplifyBrowser(Browser):
    """A browser with Amplify JS on a `Site`."""

    def __init__(self, site: Site, cookies: "Mapping[str, str] | Jar" = Jar()) -> None:  # noqa: B008
        super().__init__(site, {})
        self.cookies = cookies.copy() if isinstance(cookies, Jar) else Jar()
        if not isinstance(cookies, Jar):
            self.cookies.put(cookies)

    @property
    def header(self) -> str:
        return self.cookies.header()

    def copy(self) -> "AmplifyBrowser":
        """One with the same cookies, such as a thief's, or a request on its way."""
        return AmplifyBrowser(self.site, self.cookies)

    def ask(self, handler: Callable[[], str | AppAnswer], **facts: Any) -> Got:
        path: str = facts.get("path", "/")
        ask = Ask(cookies=self.cookies.header(path) or None, **facts)
        got = self.site.shell.send(self.site.app(handler), ask)
        for line in got.all("set-cookie"):
            self.cookies.store(line, path)
        return got

    def keep(self, got: Got) -> None:
        for line in got.all("set-cookie"):
            self.cookies.store(line)

    def token(self, suffix: str, user: str = "ada") -> str:
        """One of the user's cookies."""
        return self.cookies[name_of(suffix, user)]


def signed_in(site: Site, user: str = "ada", **more: Any) -> AmplifyBrowser:
    """A browser in which Amplify JS has just signed a user in."""
    return AmplifyBrowser(site, cookies_of(site.pool.sign_in(user), user, **more))


def named(action: Action) -> Action:
    """What came of an action: its result, or the name of the error and its reason."""
    from amplify_mw import AuthError

    def told() -> object:
        try:
            return action()
        except AuthError as error:
            return f"{error.name} {error.reason}"

    return told


def set_names(got: Got) -> list[str]:
    """The names of the cookies that a response sets or clears, sorted, each as often as it does."""
    return sorted(line.partition("=")[0] for line in got.all("set-cookie"))


def cleared(got: Got) -> set[str]:
    """The names of the cookies that a response clears."""
    return {
        line.partition("=")[0]
        for line in got.all("set-cookie")
        if attributes(line).get("max-age") == "0"
    }


def written(got: Got) -> set[str]:
    """The names of the cookies that a response sets."""
    return {line.partition("=")[0] for line in got.all("set-cookie")} - cleared(got)
