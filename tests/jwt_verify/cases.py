"""The tokens of which both are asked, good and bad, by what is odd about them.

Rules:
- A case's header and payload are the same in every recording; only keys and signatures are new.
- Unless it says otherwise, a case has one flaw, and is an ID token of `ada` for the client `web`.
- The clock stands at `NOW`. Both allow clocks to differ by `GRACE` seconds.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from amplify_mw.web import base64url
from tests.jwt_verify.keys import Public

NOW: Final = 1_800_000_000
GRACE: Final = 5
POOL_ID, OTHER_ID = "eu-west-1_Ab12Cd34E", "eu-west-1_Other0001"
HOSTS: Final = {
    "original": "cognito-idp.eu-west-1.amazonaws.com",
    "updated": "issuer-cognito-idp.eu-west-1.amazonaws.com",
}
ISSUERS: Final = {kind: f"https://{host}/{POOL_ID}" for kind, host in HOSTS.items()}
GONE: Final = object()  # a member that is left out

# botocore's list for `cognito-idp` (1.44.8), and the two of China, for which it lists none.
REGIONS: Final = (
    *("af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3"),
    *("ap-south-1", "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3"),
    *("ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-central-1"),
    *("ca-west-1", "eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2"),
    *("eu-west-1", "eu-west-2", "eu-west-3", "il-central-1", "me-central-1", "me-south-1"),
    *("mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    *("us-gov-east-1", "us-gov-west-1", "eusc-de-east-1", "cn-north-1", "cn-northwest-1"),
)
SUFFIXES: Final = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}  # by a Region's first part
USUAL_SUFFIX: Final = "amazonaws.com"


@dataclass(frozen=True)
class Setting:
    """A configuration: the pools' ids with whose keys they have, and the clients (None: any).

    `options`: of our `UserPool`, where the other has none such.
    """

    pools: Mapping[str, str]
    clients: tuple[str, ...] | None = ("web", "mobile")
    says_alg: bool = True
    options: Mapping[str, Any] | None = None


SETTINGS: Final = {
    "ours": Setting({POOL_ID: "ours"}),
    "both": Setting({POOL_ID: "ours", OTHER_ID: "theirs"}),
    "any client": Setting({POOL_ID: "ours"}, clients=None),
    "keys without alg": Setting({POOL_ID: "ours"}, says_alg=False),
    "original alone": Setting({POOL_ID: "ours"}, options={"issuers": "original"}),
    "updated alone": Setting({POOL_ID: "ours"}, options={"issuers": "updated"}),
    "a replica": Setting({POOL_ID: "ours"}, options={"regions": ["us-west-2"]}),
    "a replica, original": Setting(
        {POOL_ID: "ours"}, options={"regions": ["us-west-2"], "issuers": "original"}
    ),
    "a replica, updated": Setting(
        {POOL_ID: "ours"}, options={"regions": ["us-west-2"], "issuers": "updated"}
    ),
    "a replica, both": Setting(
        {POOL_ID: "ours", OTHER_ID: "theirs"}, options={"regions": ["us-west-2"]}
    ),
    **{region: Setting({f"{region}_Ab12Cd34E": "ours"}) for region in REGIONS},
}


@dataclass(frozen=True)
class Case:
    id: str
    make: Callable[[Public], str]
    setting: str = "ours"


def header(**changes: Any) -> dict[str, Any]:
    return _members({"kid": "k1", "alg": "RS256"} | changes)


def claims(issuer: object, **changes: Any) -> dict[str, Any]:
    """An ID token's. The keys' `_` is `:`, after `cognito` and `custom`."""
    ordinary = {
        "sub": "0f3c2",
        "iss": issuer,
        "cognito:username": "ada",
        "aud": "web",
        "token_use": "id",
        "iat": NOW - 60,
        "exp": NOW + 3540,
    }
    return _members(ordinary | changes)


ACCESS: Final = {
    "cognito:username": GONE,
    "aud": GONE,
    "username": "ada",
    "client_id": "web",
    "token_use": "access",
    "scope": "openid",
}


def access_claims(issuer: object, **changes: Any) -> dict[str, Any]:
    return claims(issuer, **ACCESS | changes)


def _members(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not GONE}


def token(
    keys: Public,
    head: Mapping[str, Any] | bytes,
    body: Mapping[str, Any] | bytes,
    key: str = "k1",
    kind: str = "RS256",
    sign: Callable[[bytes], bytes] | None = None,
) -> str:
    """A token of JSON texts, or of values that become such; signed by `key`, or by `sign`."""
    signed = b".".join(base64url.encode(_text(part)) for part in (head, body))
    signature = keys.sign(key, signed, kind) if sign is None else sign(signed)
    return (signed + b"." + base64url.encode(signature)).decode()


def _text(part: Mapping[str, Any] | bytes) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()


def _signed(case_id: str, setting: str = "ours", **parts: Any) -> Case:
    return Case(case_id, lambda keys: token(keys, **parts), setting)


# --- good ones


def _good(kind: str, issuer: str) -> Iterator[Case]:
    def good(name: str, body: Any, **more: Any) -> Case:
        return _signed(f"{kind}, {name}", **{"head": header(), "body": body, **more})

    yield good("an ID token", claims(issuer))
    yield good("an access token", access_claims(issuer))
    yield good("another client", claims(issuer, aud="mobile"))
    yield good("a second key", claims(issuer), head=header(kid="same"), key="same, ours")
    yield good("beside another pool", claims(issuer), setting="both")
    yield good("any client", claims(issuer, aud="whichever"), setting="any client")
    yield good(
        "any client of an access token", access_claims(issuer, client_id="x"), setting="any client"
    )
    for name, text in USERNAMES.items():
        yield good(f"a user named {name}", claims(issuer, **{"cognito:username": text}))
    escaped = _text(claims("@")).replace(b"@", b"\\u0068" + issuer[1:].encode())
    yield good("an escaped issuer", escaped)
    spaced = json.dumps(claims(issuer), indent="\t").encode()
    yield good("white space in the payload", b" \r\n" + spaced + b"\n")
    rich = {
        "nested": {"a": [1, 2.5, None, True, {"b": "c"}]},
        "at_hash": "x",
        "jti": "a",
        "x": "\0",
    }
    yield good("many more claims", claims(issuer, **rich))
    yield good("groups and scope", access_claims(issuer, **{"cognito:groups": ["a b", "c"]}))
    yield good("a depth of 200", _with(issuer, "x", "[" * 200 + "]" * 200))


USERNAMES: Final = {
    "in Greek": "Ἰωάννης",
    "in emoji": "\U0001f469\u200d\U0001f4bb",
    "with a combining accent": "Jose\u0301",
    "with a space": " ada ",
    "as a prototype": "__proto__",
    "with a line break": "ada\nadmin",
    "from right to left": "\u202eada",
}


def _with(issuer: str, name: str, text: str, **more: Any) -> bytes:
    """An ID token's payload in which one claim is that JSON text."""
    return _text(claims(issuer, **{name: "@@"}, **more)).replace(b'"@@"', text.encode())


# --- the header


def _headers(kind: str, issuer: str) -> Iterator[Case]:
    for name, changes in HEADERS.items():
        yield _signed(f"{kind}, header: {name}", head=header(**changes), body=claims(issuer))
    for alg in ("RS384", "RS512", "PS256"):
        yield _signed(
            f"{kind}, signed by {alg}", head=header(alg=alg), body=claims(issuer), kind=alg
        )
        yield _signed(f"{kind}, {alg} named RS256", head=header(), body=claims(issuer), kind=alg)
        without = f"{kind}, signed by {alg}, keys without alg"
        head = header(alg=alg)
        yield _signed(without, "keys without alg", head=head, body=claims(issuer), kind=alg)
    yield _signed(
        f"{kind}, RS256, keys without alg", "keys without alg", head=header(), body=claims(issuer)
    )
    yield _signed(
        f"{kind}, none without a signature",
        head=header(alg="none"),
        body=claims(issuer),
        sign=lambda _: b"",
    )
    for name, changes in STRANGERS_KEYS.items():
        yield Case(
            f"{kind}, a stranger's key {name}",
            lambda keys, changes=changes: token(  # type: ignore[misc]
                keys,
                header(**{name: made(keys) for name, made in changes.items()}),
                claims(issuer),
                key="stranger",
            ),
        )


HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "no alg": {"alg": GONE},
    "alg none": {"alg": "none"},
    "alg in lower case": {"alg": "rs256"},
    "alg a number": {"alg": 256},
    "alg a list": {"alg": ["RS256"]},
    "alg null": {"alg": None},
    "alg HS256": {"alg": "HS256"},
    "alg ES256": {"alg": "ES256"},
    "alg EdDSA": {"alg": "EdDSA"},
    "no kid": {"kid": GONE},
    "kid empty": {"kid": ""},
    "kid a number": {"kid": 1},
    "kid a list": {"kid": ["k1"]},
    "kid null": {"kid": None},
    "kid unknown": {"kid": "k9"},
    "kid in upper case": {"kid": "K1"},
    "kid with a space": {"kid": "k1 "},
    "kid a path": {"kid": "../k1"},
    "kid of a prototype": {"kid": "__proto__"},
    "kid of the other pool": {"kid": "k2"},
    "crit": {"crit": ["exp"]},
    "crit empty": {"crit": []},
    "crit unknown": {"crit": ["x"], "x": True},
    "typ JWT": {"typ": "JWT"},
    "typ at+jwt": {"typ": "at+jwt"},
    "typ a number": {"typ": 5},
    "cty JWT": {"cty": "JWT"},
    "zip": {"zip": "DEF"},
    "jku": {"jku": "https://evil.example/jwks.json"},
    "x5u": {"x5u": "https://evil.example/x5u"},
    "x5t": {"x5t": "AAAA"},
}
STRANGERS_KEYS: Final[Mapping[str, Mapping[str, Callable[[Public], Any]]]] = {
    "": {},
    "as jwk": {"jwk": lambda keys: dict(keys.jwks["stranger"])},
    "at jku": {"jku": lambda _: "https://evil.example/jwks.json"},
    "at x5u": {"x5u": lambda _: "https://evil.example/x5u"},
    "as x5c": {"x5c": lambda _: ["MIIB"]},
    "of an unknown kid, at jku": {
        "kid": lambda _: "k9",
        "jku": lambda _: "https://evil.example/jwks.json",
    },
}


# --- the claims


def _claims(kind: str, issuer: str) -> Iterator[Case]:
    for name, changes in CLAIMS.items():
        yield _signed(f"{kind}, {name}", head=header(), body=claims(issuer, **changes))
    for name, changes in ACCESS_CLAIMS.items():
        body = access_claims(issuer, **changes)
        yield _signed(f"{kind}, access: {name}", head=header(), body=body)
    for claim, texts in NUMBERS.items():
        for text in texts:
            body = _with(issuer, claim, text)
            yield _signed(f"{kind}, {claim} {text}", head=header(), body=body)
    for name, changes in CLIENTS_OF_ANY.items():
        body = claims(issuer, **changes)
        yield _signed(f"{kind}, any client: {name}", "any client", head=header(), body=body)


CLAIMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "no token_use": {"token_use": GONE},
    "token_use empty": {"token_use": ""},
    "token_use refresh": {"token_use": "refresh"},
    "token_use in upper case": {"token_use": "ID"},
    "token_use a list": {"token_use": ["id"]},
    "token_use null": {"token_use": None},
    "no aud": {"aud": GONE},
    "aud of another client": {"aud": "other"},
    "aud in upper case": {"aud": "WEB"},
    "aud a list": {"aud": ["web"]},
    "aud a list of two": {"aud": ["other", "web"]},
    "aud empty": {"aud": ""},
    "aud a number": {"aud": 3},
    "aud null": {"aud": None},
    "client_id and no aud": {"aud": GONE, "client_id": "web"},
    "client_id, and aud of another": {"aud": "other", "client_id": "web"},
    "no sub": {"sub": GONE},
    "sub empty": {"sub": ""},
    "sub a number": {"sub": 5},
    "sub null": {"sub": None},
    "no user name": {"cognito:username": GONE},
    "user name empty": {"cognito:username": ""},
    "user name a number": {"cognito:username": 5},
    "user name a list": {"cognito:username": ["ada"]},
    "no iat": {"iat": GONE},
    "nbf in the past": {"nbf": NOW - 60},
    "scope a list": {"scope": ["openid"]},
    "jti a number": {"jti": 5},
    "groups a text": {"cognito:groups": "admins"},
    "groups an object": {"cognito:groups": {"admins": True}},
}
ACCESS_CLAIMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "no client_id": {"client_id": GONE},
    "client_id of another": {"client_id": "other"},
    "client_id a list": {"client_id": ["web"]},
    "client_id empty": {"client_id": ""},
    "aud and no client_id": {"client_id": GONE, "aud": "web"},
    "aud of another besides": {"aud": "https://api.example.com"},
    "aud a list besides": {"aud": ["https://api.example.com", "web"]},
    "aud a number besides": {"aud": 3},
    "named as an ID token is": {"username": GONE, "cognito:username": "ada"},
    "no user name": {"username": GONE},
    "of a machine": {"username": GONE, "sub": "web", "scope": "api/read"},
    "scope a list": {"scope": ["openid"]},
    "scope a number": {"scope": 5},
    "no scope": {"scope": GONE},
    "used as an ID token": {"token_use": "id"},
}
CLIENTS_OF_ANY: Final[Mapping[str, Mapping[str, Any]]] = {
    "no aud": {"aud": GONE},
    "aud a list": {"aud": ["web"]},
    "aud empty": {"aud": ""},
    "aud null": {"aud": None},
}
_NO_NUMBERS = ("null", "true", '"1800003540"', "[]", "{}", "1e999", "NaN", "Infinity", "01", "+1")
NUMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "exp": (
        *_NO_NUMBERS,
        *("0", "-1", str(NOW - 3600), str(NOW - GRACE - 1), str(NOW - GRACE)),
        *(str(NOW - GRACE + 1), str(NOW), str(NOW + 1), f"{NOW}.5", "18e8", "18e9"),
        *("9007199254740991", "9007199254740993", "1e300"),
    ),
    "nbf": (
        *_NO_NUMBERS,
        *("0", "-1", str(NOW), str(NOW + GRACE), str(NOW + GRACE + 1), f"{NOW + GRACE}.5"),
        str(NOW + 3600),
    ),
    "iat": (
        *_NO_NUMBERS,
        *("0", "-1", str(NOW + GRACE), str(NOW + GRACE + 1), str(NOW + 3600), "9007199254740993"),
    ),
}


def _without_exp(kind: str, issuer: str) -> Iterator[Case]:
    yield _signed(f"{kind}, no exp", head=header(), body=claims(issuer, exp=GONE))
    yield _signed(f"{kind}, access: no exp", head=header(), body=access_claims(issuer, exp=GONE))


# --- the issuer


def _issuers(kind: str, issuer: str) -> Iterator[Case]:
    for name, other in _misspelt(HOSTS[kind]).items():
        yield _signed(f"{kind}, issuer {name}", head=header(), body=claims(other))
    theirs = issuer.replace(POOL_ID, OTHER_ID)
    theirs_head = header(kid="k2")
    for setting in ("ours", "both"):
        them = f"{kind}, another pool on the host, beside {setting}"
        yield _signed(them, setting, head=theirs_head, body=claims(theirs), key="k2")
        yield _signed(f"{them}: our key", setting, head=header(), body=claims(theirs))
        yield _signed(
            f"{them}: our issuer", setting, head=theirs_head, body=claims(issuer), key="k2"
        )
        same = {"head": header(kid="same"), "key": "same, theirs"}
        yield _signed(f"{them}: one kid", setting, **same, body=claims(theirs))
        yield _signed(f"{them}: one kid, our issuer", setting, **same, body=claims(issuer))


def _misspelt(host: str) -> dict[str, object]:
    issuer = f"https://{host}/{POOL_ID}"
    return {
        "with a slash": f"{issuer}/",
        "with two slashes": f"https://{host}//{POOL_ID}",
        "in upper case": issuer.upper(),
        "with a host in upper case": issuer.replace(host, host.upper()),
        "with a pool id in lower case": issuer.lower(),
        "over http": issuer.replace("https", "http"),
        "without a scheme": issuer.removeprefix("https://"),
        "with a port": issuer.replace(host, f"{host}:443"),
        "with a user": issuer.replace(host, f"x@{host}"),
        "with Amazon's host as a user": issuer.replace(host, f"{host}@evil.example"),
        "with Amazon's host as a subdomain": issuer.replace(host, f"{host}.evil.example"),
        "with a dot after the host": issuer.replace(host, f"{host}."),
        "of another host": f"https://evil.example/{POOL_ID}",
        "of another host, with ours in its path": f"https://evil.example/{issuer}",
        "with a path after the pool": f"{issuer}/x",
        "with a path before the pool": f"https://{host}/x/{POOL_ID}",
        "with another pool before ours": f"https://{host}/{OTHER_ID}/../{POOL_ID}",
        "with a query": f"{issuer}?x",
        "with a fragment": f"{issuer}#x",
        "with a space": f"{issuer} ",
        "with a line break": f"{issuer}\n",
        "with a zero": f"{issuer}\0",
        "with a letter that looks like it": issuer.replace("o", "\u043e"),
        "percent-encoded": issuer.replace("_", "%5F"),
        "of another Region": issuer.replace("eu-west-1.", "us-west-2."),
        "of another Region that does not exist": issuer.replace("eu-west-1.", "xx-nowhere-9."),
        "of a pool in another Region": issuer.replace("eu-west-1", "us-west-2"),
        "of China": issuer.replace(".com/", ".com.cn/"),
        "of the sovereign cloud": issuer.replace(".com/", ".eu/"),
        "of a FIPS endpoint": issuer.replace("cognito-idp.", "cognito-idp-fips."),
        "of identity pools": "https://cognito-identity.amazonaws.com",
        "cut short": issuer[:-1],
        "with the host alone": f"https://{host}",
        "with the pool id alone": POOL_ID,
        "missing": GONE,
        "empty": "",
        "null": None,
        "a number": 7,
        "a list": [issuer],
        "an object": {"iss": issuer},
        "of a prototype": "__proto__",
    }


def _regions(kind: str, _: str) -> Iterator[Case]:
    service = HOSTS[kind].partition(".")[0]
    for region in REGIONS:
        pool_id = f"{region}_Ab12Cd34E"
        suffix = SUFFIXES.get(region.partition("-")[0], USUAL_SUFFIX)
        issuer = f"https://{service}.{region}.{suffix}/{pool_id}"
        yield _signed(f"{kind}, {region}", region, head=header(), body=claims(issuer))
        if suffix != USUAL_SUFFIX:
            other = issuer.replace(suffix, USUAL_SUFFIX)
            here = f"{kind}, {region} at {USUAL_SUFFIX}"
            yield _signed(here, region, head=header(), body=claims(other))


OPTIONS: Final = (
    *("original alone", "updated alone", "a replica", "a replica, original"),
    *("a replica, updated", "a replica, both"),
)


def _options(kind: str, issuer: str) -> Iterator[Case]:
    """Of what the other has no option for: it is asked without."""
    there = issuer.replace("eu-west-1.", "us-west-2.")
    bodies = {
        "": claims(issuer),
        ": of another pool": claims(issuer.replace(POOL_ID, OTHER_ID)),
        ": named by the replica": claims(there),
        ": named by the replica, access": access_claims(there),
        ": named by the replica, of a pool there": claims(issuer.replace("eu-west-1", "us-west-2")),
        ": named by the replica, of another pool": claims(there.replace(POOL_ID, OTHER_ID)),
        ": named by the replica, with a slash": claims(f"{there}/"),
        ": named by another Region": claims(issuer.replace("eu-west-1.", "us-east-1.")),
    }
    for setting in OPTIONS:
        for name, body in bodies.items():
            yield _signed(f"{kind}, {setting}{name}", setting, head=header(), body=body)
        stranger = {"head": header(), "body": claims(there), "key": "stranger"}
        yield _signed(f"{kind}, {setting}: a stranger's key there", setting, **stranger)


# --- the bytes


def _texts(kind: str, issuer: str) -> Iterator[Case]:
    usual = _text(claims(issuer))
    for name, change in PAYLOADS.items():
        yield _signed(f"{kind}, payload {name}", head=header(), body=change(usual))
    for name, change in PAYLOADS.items():
        if name in IN_HEADERS:
            head = change(_text(header()))
            yield _signed(f"{kind}, header {name}", head=head, body=usual)
    for name, respell in SPELLINGS.items():
        yield Case(
            f"{kind}, {name}",
            lambda keys, respell=respell: respell(token(keys, header(), usual)),  # type: ignore[misc]
        )
    for name, change in SIGNED_SPELLINGS.items():
        yield Case(
            f"{kind}, {name}, and signed so",
            lambda keys, change=change: _signed_again(keys, change(token(keys, header(), usual))),  # type: ignore[misc]
        )
    big = claims(issuer, **{"custom:x": "x" * 196_000})
    yield _signed(f"{kind}, 261 kB", head=header(), body=big)
    too_big = claims(issuer, **{"custom:x": "x" * 197_000})
    yield _signed(f"{kind}, 263 kB", head=header(), body=too_big)


def _added(text: str) -> Callable[[bytes], bytes]:
    return lambda usual: usual[:-1] + f",{text}}}".encode()


PAYLOADS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "empty": lambda _: b"",
    "an empty object": lambda _: b"{}",
    "null": lambda _: b"null",
    "a list": lambda usual: b"[" + usual + b"]",
    "a text": lambda usual: json.dumps(usual.decode()).encode(),
    "cut short": lambda usual: usual[:-1],
    "with more after it": lambda usual: usual + b"{}",
    "with a comma after the last": lambda usual: usual[:-1] + b",}",
    "with a comment": lambda usual: usual + b"//x",
    "in single quotes": lambda usual: usual.replace(b'"', b"'"),
    "after a byte order mark": lambda usual: b"\xef\xbb\xbf" + usual,
    "in UTF-16": lambda usual: usual.decode().encode("utf-16-le"),
    "with no-break spaces": lambda usual: usual + b"\xc2\xa0",
    "with a control character": _added('"x":"\x01"'),
    "with a bad escape": _added('"x":"\\x41"'),
    "with a byte that is not UTF-8": lambda usual: usual[:-1] + b',"x":"\xff"}',
    "with an overlong letter": lambda usual: usual[:-1] + b',"x":"\xc1\xa1"}',
    "with a surrogate in bytes": lambda usual: usual[:-1] + b',"x":"\xed\xa0\x80"}',
    "with a lone surrogate": _added('"x":"\\ud800"'),
    "with a pair of surrogates": _added('"x":"\\ud83d\\ude00"'),
    "with a member twice": _added('"x":1,"x":2'),
    "with a member twice, one of them escaped": _added('"x":1,"\\u0078":2'),
    "with a prototype": _added('"__proto__":{"token_use":"access"}'),
    "with a constructor": _added('"constructor":{"prototype":{"x":1}}'),
    "with NaN": _added('"x":NaN'),
    "with a hexadecimal number": _added('"x":0x10'),
    "with a number that has no end": _added('"x":1.'),
    "with a huge number": _added('"x":1e400'),
    "with the issuer twice, ours last": lambda usual: usual.replace(
        b"{", b'{"iss":"https://evil.example",', 1
    ),
    "with the issuer twice, ours first": _added('"iss":"https://evil.example"'),
    "with the client twice": lambda usual: usual.replace(b"{", b'{"aud":"other",', 1),
    "with the end twice": lambda usual: usual.replace(b"{", b'{"exp":1,', 1),
    "with the user twice": lambda usual: usual.replace(b"{", b'{"sub":"root",', 1),
    "with the algorithm twice": lambda usual: usual.replace(b"{", b'{"alg":"none",', 1),
}
IN_HEADERS: Final = (
    *("empty", "an empty object", "null", "a list", "cut short", "with more after it"),
    *("after a byte order mark", "with a byte that is not UTF-8", "with a lone surrogate"),
    *("with a member twice", "with a prototype", "with NaN", "with the algorithm twice"),
)


def _segment(place: int, change: Callable[[str], str]) -> Callable[[str], str]:
    def respelt(jwt: str) -> str:
        segments = jwt.split(".")
        segments[place] = change(segments[place])
        return ".".join(segments)

    return respelt


def _flip(text: str) -> str:
    return ("B" if text[0] == "A" else "A") + text[1:]


def _next_letter(text: str) -> str:
    """Sets a spare bit in the last letter."""
    return text[:-1] + chr(ord(text[-1]) + 1)


_SEGMENTS = ("header", "payload", "signature")
SPELLINGS: Final[Mapping[str, Callable[[str], str]]] = {
    **{
        f"{name} {what}": _segment(place, change)
        for place, name in enumerate(_SEGMENTS)
        for what, change in {
            "with padding": lambda text: text + "=" * (-len(text) % 4 or 1),
            "with a space": lambda text: text[:8] + " " + text[8:],
            "with a line break": lambda text: text + "\n",
            "with a plus": lambda text: "+" + text[1:],
            "with a letter that is not ASCII": lambda text: text + "\xe9",
            "left out": lambda text: "",
        }.items()
    },
    "signature with a spare bit": _segment(2, _next_letter),
    "signature flipped": _segment(2, _flip),
    "signature cut by a letter": _segment(2, lambda text: text[:-1]),
    "signature cut by three bytes": _segment(2, lambda text: text[:-4]),
    "signature with zeros after it": _segment(2, lambda text: text[:-1] + "AAAA"),
    "signature of one byte": _segment(2, lambda text: "AA"),
    "payload flipped": _segment(1, _flip),
    "two segments": lambda jwt: jwt.rpartition(".")[0],
    "four segments": lambda jwt: jwt + ".AAAA",
    "a space before": lambda jwt: " " + jwt,
    "a line break after": lambda jwt: jwt + "\n",
    "Bearer before": lambda jwt: "Bearer " + jwt,
    "quotes around": lambda jwt: f'"{jwt}"',
    "nothing at all": lambda jwt: "",
}

SIGNED_SPELLINGS: Final = {
    f"{name} {what}": _segment(place, change)
    for place, name in enumerate(_SEGMENTS[:2])
    for what, change in {
        "with padding": lambda text: text + "=" * (-len(text) % 4 or 1),
        "with a spare bit": _next_letter,
    }.items()
}


def _signed_again(keys: Public, jwt: str) -> str:
    signed = jwt.rpartition(".")[0]
    return f"{signed}.{base64url.encode(keys.sign('k1', signed.encode())).decode()}"


_GROUPS = (_good, _headers, _claims, _without_exp, _issuers, _regions, _options, _texts)
CASES: Final = [
    case for group in _GROUPS for kind, issuer in ISSUERS.items() for case in group(kind, issuer)
]
