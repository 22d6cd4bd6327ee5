"""How the known front ends spell Amplify's cookies and read them, written down from their code.

Nothing here is shared with what is under test: js-cookie's regular expressions are js-cookie's.
"""

import re
from collections.abc import Callable
from urllib.parse import quote, unquote, unquote_to_bytes

PREFIX = "CognitoIdentityServiceProvider"
CLIENT = "4bd0s7s2qf6tcb1rsbsvxxxxxx"
OTHER_CLIENT = "7xq2h0jj3sd5n2kq0b9yyyyyyy"

USERS = [
    *("alice", "a@b.com", "a+b@c.d", "a(b)", "a;b", "a,b", 'a"b', "a=b", "a|b", "a b", "a:b/c"),
    *("100%", "a%40b", "jos\u00e9", "\u674e\u96f7", "\u0645\u062d\u0645\u062f", "\U0001f600"),
    *("first.last", "a.idToken", "LastAuthUser", "it's*~!#$&^`{}[]<>?\\"),
]


def encode_uri_component(text: str) -> str:
    return quote(text, safe="!~*'()")


def adapter_name(text: str) -> str:
    """adapter-nextjs, `ensureEncodedForJSCookie`."""
    return re.sub("%(2[346B]|5E|60|7C)", lambda code: unquote(code[0]), encode_uri_component(text))


def js_cookie_name(text: str) -> str:
    """js-cookie, `set`."""
    return adapter_name(text).replace("(", "%28").replace(")", "%29")


def js_cookie_value(text: str) -> str:
    """js-cookie, `converter.write`."""
    codes = "%(2[346BF]|3[AC-F]|40|5[BDE]|60|7[BCD])"
    return re.sub(codes, lambda code: unquote(code[0]), encode_uri_component(text))


def _ascii(write: Callable[[str], str]) -> Callable[[str], bytes]:
    return lambda text: write(text).encode("ascii")


Spell = Callable[[str], bytes]
NAMES: dict[str, Spell] = {
    "js-cookie": _ascii(js_cookie_name),
    "adapter": _ascii(adapter_name),
    "adapter before 1.7, UTF-8": str.encode,
    "adapter before 1.7, Latin-1": lambda text: text.encode("latin-1"),
}
VALUES: dict[str, Spell] = {
    "js-cookie": _ascii(js_cookie_value),
    "Next's store": _ascii(encode_uri_component),
    "raw, UTF-8": str.encode,
    "raw, Latin-1": lambda text: text.encode("latin-1"),
}


def js_cookie_get(header: bytes, wanted: str) -> str | None:
    """js-cookie, `get`: the first whose name decodes to `wanted`."""
    for cookie in header.decode("latin-1").split("; "):
        name, *rest = cookie.split("=")
        value = "=".join(rest)
        if _decode_uri_component(name) == wanted:
            value = value[1:-1] if value[:1] == '"' else value
            return re.sub("(%[0-9A-Fa-f]{2})+", lambda codes: unquote(codes[0]), value)
    return None


def next_get(header: bytes, wanted: str) -> str | None:
    """Next, `RequestCookies`, under the name that the adapter asks for: the last that decodes."""
    found = None
    for cookie in re.split("; *", header.decode("latin-1")):
        name, equals, value = cookie.partition("=")
        decoded = _decode_uri_component(value) if equals else None
        if name == adapter_name(wanted) and decoded is not None:
            found = decoded
    return found


def _decode_uri_component(text: str) -> str | None:
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        return None
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError:
        return None
