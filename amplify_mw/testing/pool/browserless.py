"""A sign-in at the local user pool's domain without any browser: over HTTP, with the real forms.

Rules:
- It follows redirects within the pool and fills in the forms it meets, as a person would. The
  first redirect that leaves the pool is the result; it is not followed.
- Cookies are the caller's: a dict, changed in place, which stands for one browser.
"""

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx2

_MOST_STEPS: Final = 10


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
    """What a form has to fill in and to choose from."""

    def __init__(self, action: str) -> None:
        self.action = action
        self.fields: dict[str, str] = {}
        self.choices: list[tuple[str, str]] = []

    def filled(self, answers: Mapping[str, str]) -> dict[str, str] | None:
        """What is sent for these answers; None if the form asks something else."""
        if "username" in self.fields:
            return self.fields | {name: answers[name] for name in self.fields if name in answers}
        chosen = [(name, value) for name, value in self.choices if answers.get(name) == value]
        return self.fields | dict(chosen) if chosen else None


def walk(home: str, url: str, answers: Mapping[str, str], cookies: dict[str, str]) -> str:
    """Where the pool at `home` sends a browser in the end that is at `url`.

    `answers`: what is put into the forms' fields, by name. Raises `ValueError` if the pool does
    not send it anywhere.
    """
    if not _is_within(home, url):
        raise ValueError(f"url: write one of the pool's, which begin with {home}/; got {url!r}")
    host = urlsplit(home).hostname or ""
    with httpx2.Client(trust_env=False, verify=False, timeout=10) as client:
        for name, value in cookies.items():
            client.cookies.set(name, value, domain=host)
        try:
            return _walk(client, home, url, answers)
        finally:
            cookies.clear()
            cookies.update(client.cookies)


def _walk(client: httpx2.Client, home: str, url: str, answers: Mapping[str, str]) -> str:
    response = client.get(url)
    is_filled = False
    for _ in range(_MOST_STEPS):
        if response.has_redirect_location:
            target = urljoin(str(response.url), response.headers["location"])
            if not _is_within(home, target):
                return target
            response = client.get(target)
            continue
        page = _Page(response.text)
        forms = ((form, form.filled(answers)) for form in page.forms)
        form, fields = next((pair for pair in forms if pair[1] is not None), (None, None))
        if is_filled or form is None or not answers:
            break
        response = client.post(urljoin(str(response.url), form.action), data=fields)
        is_filled = True
    alert = _Page(response.text).alert or "a form that is not answered"
    raise ValueError(f"the pool sends the browser nowhere: {alert} (HTTP {response.status_code})")


def _is_within(home: str, url: str) -> bool:
    return url.startswith((f"{home}/", f"{home}?"))
