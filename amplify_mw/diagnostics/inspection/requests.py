"""A request's head: its environ, and the rules for its path, its origin and its purpose.

Rules:
- The path rules are `web.paths`, the needs `needs.unmet`, the origins `web.requests`: nothing is
  decided here, it is only said apart.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from ...config.config import AmplifyConfig
from ...errors import AuthError
from ...models.check import Check
from ...needs import Needs, unmet
from ...sessions.verdicts import KnownMachine, SignedIn, Verdict
from ...shell.shell import access_rules
from ...shell.wsgi_request import text_of
from ...web.paths import Access
from ...web.requests import SAFE_METHODS, excerpt, is_foreign, is_speculative, page_of
from .facts import mend_of
from .looking import environ_of
from .recognition import Recognised

_LONGEST: Final = 120  # characters of a path


def environ_in(found: Recognised, config: AmplifyConfig) -> dict[str, Any]:
    """The WSGI environ of a request, as a server makes it."""
    path, _, query = found.target.partition("?")
    if "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    names = dict.fromkeys(name for name, _ in found.fields if "_" not in name)
    fields = [(name, (found.field(name) or b"").decode("latin-1")) for name in names]
    decoded = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
    return environ_of(config, found.method, decoded, query, fields)


def request_checks(
    environ: dict[str, Any], config: AmplifyConfig, verdict: Verdict | None, now: float
) -> list[Check]:
    """The rules for a request. `verdict`: on its credential."""
    return [
        *_path(environ, config),
        *_needs(environ, config, verdict, now),
        *_origin(environ, config, verdict),
        *_purpose(environ),
    ]


def _path(environ: dict[str, Any], config: AmplifyConfig) -> Iterator[Check]:
    path = text_of(environ["PATH_INFO"]) or ""
    shown = excerpt(path, _LONGEST)
    routes = () if config.routes is None else config.routes.paths
    if any(path.removeprefix(mount) in routes for mount in ("", *config.mount)):
        yield Check("path", "ok", f"{shown} is one of the sign-in routes")
        return
    rules = access_rules(config)
    access = Access.OPEN if rules is None else rules.of(path)
    said = {
        Access.OPEN: "is open to all by protect=[...]; the app may ask for the user itself",
        Access.PROTECTED: "needs a signed-in user (protect)",
        Access.IGNORED: "is ignored: no credential is read there",
    }[access]
    yield Check("path", "warning" if access is Access.IGNORED else "ok", f"{shown} {said}")


def _needs(
    environ: dict[str, Any], config: AmplifyConfig, verdict: Verdict | None, now: float
) -> Iterator[Check]:
    """The needs of the path, and whether the credential meets them."""
    path, rules = text_of(environ["PATH_INFO"]), access_rules(config)
    if rules is None or rules.of(path) is not Access.PROTECTED or not rules.demands:
        return
    for needs in rules.needs(path):
        if not isinstance(verdict, SignedIn | KnownMachine):
            yield Check("needs", "unknown", "", _asked_for(needs))
            continue
        try:
            error: AuthError | None = unmet(needs, verdict, now, config.leeway)
        except AuthError as raised:  # by the app's `check`
            error = raised
        except Exception as raised:  # noqa: BLE001  # likewise
            yield Check("needs", "unknown", f"raises {type(raised).__name__}", _asked_for(needs))
            continue
        if error is None:
            yield Check("needs", "ok", "met", _asked_for(needs))
        else:
            yield Check("needs", "wrong", error.reason, _asked_for(needs), mend_of(error.reason))


def _asked_for(needs: Needs) -> str:
    """The demands made, as written in code."""
    made = {each.name: getattr(needs, each.name) for each in fields(needs) if each.init}
    said = [f"{name}={_listed(value)}" for name, value in made.items() if value]
    return f"Needs({', '.join(said)})"


def _listed(value: object) -> str:
    if isinstance(value, frozenset | set | tuple):
        return repr(sorted(value, key=str))
    return getattr(value, "__name__", None) or repr(value)


def _origin(
    environ: dict[str, Any], config: AmplifyConfig, verdict: Verdict | None
) -> Iterator[Check]:
    """Whether another site's page made the request (CSRF)."""
    if not is_foreign(environ, config.known_origins):
        if "HTTP_ORIGIN" in environ or "HTTP_SEC_FETCH_SITE" in environ:
            yield Check("origin", "ok", "a page of this site, as the browser says")
        return
    found, _, mend = page_of(environ).partition("; ")
    wanted = " or ".join(map(repr, sorted(config.known_origins))) or "the site's own origin"
    is_unsafe = environ["REQUEST_METHOD"] not in SAFE_METHODS
    counts = is_unsafe and config.csrf is not None and isinstance(verdict, SignedIn)
    yield Check("origin", "wrong" if counts else "warning", found, wanted, mend)


def _purpose(environ: dict[str, Any]) -> Iterator[Check]:
    if is_speculative(environ):
        yield Check(
            "purpose",
            "warning",
            "a prefetch or a prerender: no sign-in, and no sign-out, by this request",
            "a visit",
            mend_of("speculative_request"),
        )
