"""A sign-in at the local user pool's domain without any browser: over HTTP, with the real forms.

Rules:
- It follows redirects within the pool and fills in the forms it meets, as a person would. The
  first redirect away from the pool is the result; it is not followed.
- Cookies are the caller's: a dict, changed in place, for one browser.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from string import punctuation
from typing import Final
from urllib.parse import quote, urlencode, urljoin, urlsplit

_MOST_STEPS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_TIMEOUT: Final = 60.0  # seconds: the pool is in this process, on a machine that may be busy


class _Page(HTMLParser):
    """The forms of a page, and its alert."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self.alert = ""
        self._is_alert = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note forms with their fields and buttons."""
        given = {name: value or "" for name, value in attrs}
        self._is_alert = given.get("role") == "alert"
        if tag == "form":
            self.forms.append(_Form(given["action"]))
        elif tag == "input":
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "button" and "name" in given:
            self.forms[-1].choices.append((given["name"], given["value"]))

    def handle_data(self, data: str) -> None:
        """Note the alert's text."""
        self.alert += data if self._is_alert else ""

    def handle_endtag(self, _tag: str) -> None:
        """Note the end of the alert."""
        self._is_alert = False


class _Form:
    """A form: its fields, and the buttons to choose from."""

    def __init__(self, action: str) -> None:
        self.action = action
        self.fields: dict[str, str] = {}
        self.choices: list[tuple[str, str]] = []

    def filled(self, answers: Mapping[str, str]) -> dict[str, str] | None:
        """The form data for these answers; None if the form asks for something else."""
        if "username" in self.fields:
            return self.fields | {name: answers[name] for name in self.fields if name in answers}
        chosen = [(name, value) for name, value in self.choices if answers.get(name) == value]
        return self.fields | dict(chosen) if chosen else None


def walk(home: str, url: str, answers: Mapping[str, str], cookies: dict[str, str]) -> str:
    """Follow the pool at `home` from `url`; the first address outside the pool.

    `answers`: values for the forms' fields, by name. Raises `ValueError` if the pool does not
    redirect the browser away.
    """
    if not _is_within(home, url):
        raise ValueError(f"url: write one of the pool's, which begin with {home}/; got {url!r}")
    answer = _ask(url, cookies)
    is_filled = False
    for _ in range(_MOST_STEPS):
        if answer.location is not None:
            target = urljoin(answer.url, answer.location)
            if not _is_within(home, target):
                return target
            answer = _ask(target, cookies)
            continue
        forms = ((form, form.filled(answers)) for form in _Page(answer.text).forms)
        form, fields = next((pair for pair in forms if pair[1] is not None), (None, None))
        if is_filled or form is None or not answers:
            break
        answer = _ask(urljoin(answer.url, form.action), cookies, fields)
        is_filled = True
    alert = _Page(answer.text).alert or "a form that is not answered"
    raise ValueError(f"the pool sends the browser nowhere: {alert} (HTTP {answer.status})")


@dataclass(frozen=True, slots=True)
class _Answer:
    """A response. `location`: a redirect's target, else None."""

    url: str
    status: int
    location: str | None
    text: str


def _ask(url: str, cookies: dict[str, str], fields: Mapping[str, str] | None = None) -> _Answer:
    """GET `url`, or POST a form's `fields` to it; keeps the response's cookies."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    path = quote(f"{parts.path or '/'}{query}", safe=punctuation)
    headers = {"Cookie": "; ".join([f"{name}={value}" for name, value in cookies.items()])}
    if not cookies:
        del headers["Cookie"]
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)
    try:
        if fields is None:
            connection.request("GET", path, headers=headers)
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request("POST", path, urlencode(fields), headers)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    finally:
        connection.close()
    for line in response.headers.get_all("Set-Cookie", ()):
        _keep(line, cookies)
    is_redirect = response.status in _REDIRECTS
    location = response.headers["Location"] if is_redirect else None
    return _Answer(url, response.status, location, text)


def _keep(line: str, cookies: dict[str, str]) -> None:
    """Apply a `Set-Cookie` line to `cookies`."""
    for name, morsel in SimpleCookie(line).items():
        if morsel["max-age"] == "0":
            cookies.pop(name, None)
        else:
            cookies[name] = morsel.value


def _is_within(home: str, url: str) -> bool:
    return url.startswith((f"{home}/", f"{home}?"))
