"""The checks of single options.

Rules:
- A check returns the value in the form to keep, or raises a `ConfigurationError` with the option's
  name and what to write instead.
- An address is https, or http on this machine; on another only with `allow_insecure_http`.
"""

import inspect
import json
import os
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from ..errors import ConfigurationError, kind_of
from ..web.origins import app_origin, is_host, is_loopback, quoted, split_origin

_PATTERN: Final = re.compile(r"(?!.*//)/[^*?%\\\x00-\x1F]*(?:(?<=/)\*)?")  # a path, or all below
_NO_PATH: Final = re.compile(r"\s*(?:https?://|[{\[])", re.IGNORECASE)  # an address, or JSON text
_MAX_PROXIES: Final = 16  # one behind the other
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_PAGES: Final = "write HTML text, or a function that takes a PageContext and returns HTML"
_ELSEWHERE: Final = "http:// only for localhost, or for an emulator with allow_insecure_http=True"


class Missing:
    """The type of `MISSING`, which stays itself when it is copied or pickled."""

    def __repr__(self) -> str:
        return "<required>"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = Missing()
"""The default of an option that has to be given."""


def set_fields(target: object, **values: Any) -> None:
    """Set fields of a frozen dataclass, from its `__post_init__`."""
    for name, value in values.items():
        object.__setattr__(target, name, value)


def check_flag(name: str, value: object) -> bool:
    """Return `value` if it is a bool."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}: write True or False; got {value!r}")
    return value


def check_listeners(listeners: object) -> Any:
    """Return the option `on_event`: None, a function for events, or a tuple of several."""
    if not isinstance(listeners, list | tuple):
        if listeners is not None:
            _check_listener(listeners)
        return listeners
    for listener in listeners:
        _check_listener(listener)
    return tuple(listeners)


def _check_listener(listener: object) -> None:
    call = getattr(listener, "__call__", None)  # noqa: B004  # an object's may be async
    if any(map(inspect.iscoroutinefunction, (listener, call))):
        raise ConfigurationError(
            "on_event: it is called and not awaited; write a function without async, which hands "
            "longer work on, such as on_event=queue.put_nowait"
        )
    is_usable = callable(listener) and isinstance(listener, Hashable)
    if not is_usable or isinstance(listener, type):
        raise ConfigurationError(
            "on_event: write a function that takes an event, such as one of amplify_mw.events, or "
            f"a list of these; got {kind_of(listener)}"
        )


def check_address_header(name: object, trusted: object) -> None:
    """Refuse the options `client_address` and `trusted_proxies` if they cannot work."""
    if name is not None and not (isinstance(name, str) and re.fullmatch("[A-Za-z0-9-]+", name)):
        raise ConfigurationError(
            "client_address: write the name of the header that your proxy sets, such as "
            f"'X-Forwarded-For'; got {name!r}"
        )
    if isinstance(name, str) and name.lower() == "forwarded":
        raise ConfigurationError(
            "client_address: the header Forwarded (RFC 7239) is not read; have the proxy set "
            "X-Forwarded-For, and write 'X-Forwarded-For'"
        )
    if type(trusted) is not int or not 1 <= trusted <= _MAX_PROXIES:
        raise ConfigurationError(
            f"trusted_proxies: write how many of your proxies add to the header, from 1 to "
            f"{_MAX_PROXIES}; got {trusted!r}"
        )


def check_address(name: str, url: Any, *, insecure: bool) -> str:
    """Return `url` if it is https (or http on loopback) without user, query or fragment.

    `insecure`: http to other machines is accepted too.
    """
    # urlsplit drops some characters that are not printable
    is_clean = isinstance(url, str) and url.isascii() and url.isprintable() and " " not in url
    try:
        parts = urlsplit(url if is_clean else "")
        _ = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{name}: write an address; got {quoted(url)}") from error
    host = parts.hostname or ""
    is_http = parts.scheme == "http" and (insecure or is_loopback(host))
    if is_http:  # compose files name their services so, and no certificate can
        host = host.replace("_", "-")
    is_bare = not parts.query and not parts.fragment and "@" not in parts.netloc
    if not ((is_http or parts.scheme == "https") and is_bare and is_host(host)):
        raise ConfigurationError(
            f"{name}: write an https:// address ({_ELSEWHERE}), without user, query or fragment; "
            f"got {quoted(url)}"
        )
    return str(url)


def is_insecure(url: str) -> bool:
    """Whether `url` is plain http to another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def check_proxy(proxy: object) -> None:
    """Refuse a proxy that is neither None, "environment" nor an address."""
    if proxy is None or proxy == "environment":
        return
    from ..web.proxy import parse_proxy  # only with a proxy

    try:
        parse_proxy(proxy)
    except ConfigurationError as error:
        raise ConfigurationError(f"proxy: {error}; or write 'environment'") from None


def check_strings(name: str, values: object) -> tuple[str, ...]:
    """Return a list of strings as a tuple."""
    if isinstance(values, str) or not isinstance(values, Sequence | frozenset | set):
        raise ConfigurationError(f"{name}: write a list of strings; got {values!r}")
    if not all(isinstance(value, str) and value for value in values):
        raise ConfigurationError(f"{name}: write a list of strings that are not empty")
    return tuple(values if isinstance(values, Sequence) else sorted(values))


def check_seal_keys(name: str, keys: Sequence[str | bytes]) -> tuple[bytes, ...]:
    """Return a list of keys that seal, as bytes."""
    if isinstance(keys, str | bytes):
        raise ConfigurationError(f"{name}: write a list, {name.split('.')[-1]}=['...']")
    if not keys:
        return ()
    from ..sessions.seal import parse_key  # 10 ms: only with keys

    return tuple(parse_key(key) for key in keys)


def check_audience(audience: object) -> tuple[str, ...]:
    """Return the option `audience` as a tuple."""
    names = (audience,) if isinstance(audience, str) else audience
    if not isinstance(names, list | tuple) or not all(map(_is_audience, names)):
        raise ConfigurationError(
            "audience: write the name of this API in its access tokens, such as "
            f"'https://orders.example.com', or a list of them; got {audience!r}"
        )
    return tuple(names)


def _is_audience(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[!-~]+", name) is not None


def check_keys(keys: object) -> str | os.PathLike[str] | None:
    """Return preloaded keys in a form that can be compared: JSON text, or the path of a file."""
    if isinstance(keys, str) and not isinstance(keys, KeyText) and _NO_PATH.match(keys):
        raise ConfigurationError(
            "keys: write a file's path or a mapping; key sets at an address are fetched without "
            "being told"
        )
    if keys is None or isinstance(keys, os.PathLike | str):
        return keys
    if isinstance(keys, Mapping):
        try:
            return KeyText(json.dumps(dict(keys), sort_keys=True))
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigurationError("keys: this mapping is no JSON; write a key set") from error
    raise ConfigurationError("keys: write a key set (a mapping) or the path of its JSON file")


class KeyText(str):
    """A key set as JSON text, as opposed to the path of one."""

    __slots__ = ()


def check_paths(name: str, patterns: object) -> tuple[str, ...]:
    """Return path patterns as a tuple: a path each, or `/path/*`."""
    patterns = check_strings(name, patterns)
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern) or {".", ".."} & set(pattern.split("/")):
            raise ConfigurationError(
                f"{name}: write decoded paths such as '/account' or '/api/*' ('*' only as the last "
                f"segment; no '?', '%', backslash or dot segment); got {pattern!r}"
            )
    return patterns


def check_needs(protect: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping `protect`, copied: patterns are checked elsewhere."""
    from ..needs import Needs  # only with a mapping

    for pattern, needs in protect.items():
        if not isinstance(needs, Needs):
            raise ConfigurationError(
                f"protect: {pattern!r}: write Needs(groups=['billing'], fresh=600), or Needs() for "
                f"any signed-in user; got {kind_of(needs)}"
            )
    return dict(protect)


def check_page_origin(origin: str, *, insecure: bool) -> str:
    """Return one of the `origins`. `insecure`: the site itself is on plain http."""
    try:
        apps = app_origin(origin)
    except ConfigurationError as error:
        raise ConfigurationError(f"origins: {error}") from None
    return check_origin("origins", origin, insecure=insecure) if apps is None else apps


def check_origin(name: str, origin: str, *, insecure: bool) -> str:
    """Return an origin as browsers write it (RFC 6454 6.2)."""
    try:
        scheme, host, port = split_origin(origin.lower())
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None
    if scheme == "http" and not (insecure or is_loopback(host)):
        raise ConfigurationError(
            f"{name}: write an https:// origin (http:// only for localhost, or where the site "
            f"itself is over plain http: CookiePolicy(secure=False)); got {quoted(origin)}"
        )
    host = f"[{host}]" if ":" in host else host
    suffix = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"
    return f"{scheme}://{host}{suffix}"


def check_login_url(url: object, *, insecure: bool) -> None:
    """Refuse a sign-in page that is neither a path of this site nor an address."""
    is_clean = isinstance(url, str) and re.fullmatch(r'[!"$-~]+', url)  # printable, without '#'
    if is_clean and re.match(r"/(?![/\\])", str(url)):
        return
    try:  # a sign-in page elsewhere may need its query (`?client_id=...`)
        check_address(
            "login_url", str(url).partition("?")[0] if is_clean else "", insecure=insecure
        )
    except ConfigurationError:
        raise ConfigurationError(
            f"login_url: write a path such as '/login', or an https:// address ({_ELSEWHERE}), "
            f"without user and '#'; got {quoted(url)}"
        ) from None


def check_pages(pages: object) -> dict[Any, Any]:
    """Return the pages of the app's own, copied: a template or a function each."""
    if not isinstance(pages, Mapping):
        raise ConfigurationError("pages: write a mapping, such as {403: page}; " + _PAGES)
    if not pages:
        return {}
    from ..web.pages import KEYS  # only with pages

    for key, own in pages.items():
        if key not in KEYS:
            raise ConfigurationError(
                f"pages: there is none for {key!r}; write 401, 403, 503 or 'sign_in_failed'"
            )
        if isinstance(own, str):
            _check_template(key, own)
            continue
        call = getattr(own, "__call__", None)  # noqa: B004  # an object's may be async
        if any(map(inspect.iscoroutinefunction, (own, call))):
            raise ConfigurationError(f"pages: {key!r}: it is not awaited; write it without async")
        if not callable(own) or isinstance(own, type):
            raise ConfigurationError(f"pages: {key!r}: {_PAGES}; got {kind_of(own)}")
    return dict(pages)


def _check_template(key: object, template: str) -> None:
    from string import Template

    from ..web.pages import FIELDS

    if "<" not in template:
        raise ConfigurationError(
            f"pages: {key!r}: write the page itself, as HTML; for a file, write "
            "Path('403.html').read_text()"
        )
    parsed = Template(template)
    unknown = set(parsed.get_identifiers()) - FIELDS
    if unknown or not parsed.is_valid():
        names = ", ".join(f"${name}" for name in sorted(FIELDS))
        raise ConfigurationError(
            f"pages: {key!r}: in a template write {names}, and $$ for a dollar sign; got "
            f"{', '.join(f'${name}' for name in sorted(unknown)) or 'a lone $'}"
        )
