"""What does a first-seen token cost? In multiples of one raw RSA-2048 verification.

The unit is `cryptography`'s `public_key.verify` of the same tokens' signatures, with everything
else made beforehand. The caches hold half as many entries as there are tokens, so that a token has
been evicted when its turn comes again: every call is a first one, and pays for an eviction.
"""

import base64
from itertools import cycle

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt

from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine import Engine
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .harness import FULL, Call, Plan, Row, in_processes, table
from .requests import asgi_app, asgi_calls, ask, cookie_header, wsgi_app, wsgi_calls
from .tokens import CLIENT_ID, Mint, forged

COUNT = 400
RAW = "raw RSA-2048 verify"
UNIT = Row(RAW)
ROWS = [
    UNIT,
    Row("joserfc decode and claims", unit=UNIT),
    Row("WSGI: bare app"),
    Row("WSGI: first seen", "WSGI: bare app", UNIT),
    Row("WSGI: expired", "WSGI: bare app", UNIT),
    Row("WSGI: bad signature", "WSGI: bare app", UNIT),
    Row("ASGI: bare app"),
    Row("ASGI: first seen", "ASGI: bare app", UNIT),
    Row("ASGI: expired", "ASGI: bare app", UNIT),
    Row("ASGI: bad signature", "ASGI: bare app", UNIT),
]


def cases() -> dict[str, Call]:
    mint = Mint()
    good = mint.tokens(COUNT)
    cookies = {
        "first seen": [cookie_header(token) for token in good],
        "expired": [cookie_header(token) for token in mint.tokens(COUNT, lifetime=-3600)],
        "bad signature": [cookie_header(forged(token)) for token in good],
    }
    config = mint.config.replace(cache_entries=COUNT // 2)
    # Configurations that differ: what one shell has seen is not to be known to the other.
    wsgi = AmplifyWSGIMiddleware(wsgi_app, Engine(config))
    asgi = AmplifyASGIMiddleware(asgi_app, Engine(config.replace(cache_entries=COUNT // 2 - 1)))
    found = {RAW: raw_verify(mint, good), "joserfc decode and claims": joserfc_decode(mint, good)}
    found["WSGI: bare app"] = wsgi_calls(wsgi_app, cookies["first seen"])
    found["ASGI: bare app"] = asgi_calls(asgi_app, cookies["first seen"])
    for kind, headers in cookies.items():
        found[f"WSGI: {kind}"] = wsgi_calls(wsgi, headers)
        found[f"ASGI: {kind}"] = asgi_calls(asgi, headers)
    _check(config, cookies)
    return found


def raw_verify(mint: Mint, tokens: list[str]) -> Call:
    verify = mint.key.public_key.verify
    padding, algorithm = PKCS1v15(), SHA256()
    parts = [token.encode().rsplit(b".", 1) for token in tokens]
    following = cycle([(base64.urlsafe_b64decode(end + b"=="), start) for start, end in parts])

    def call():
        signature, signed = next(following)
        verify(signature, signed, padding, algorithm)

    return call


def joserfc_decode(mint: Mint, tokens: list[str]) -> Call:
    """What one would write with joserfc: the signature, `iss`, `aud`, `token_use` and `exp`."""
    following = cycle(tokens)
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": mint.config.user_pools[0].iss},
        aud={"essential": True, "value": CLIENT_ID},
        token_use={"essential": True, "value": "id"},
        exp={"essential": True},
    )

    def call():
        token = jwt.decode(next(following), mint.key, algorithms=["RS256"])
        registry.validate(token.claims)

    return call


def _check(config, cookies) -> None:
    """What is timed works: a first-seen token signs its user in, the others nobody."""
    users = []

    def witness(environ, start_response):
        users.append(ask())
        return wsgi_app(environ, start_response)

    app = AmplifyWSGIMiddleware(witness, config)
    for kind in ("first seen", "expired", "bad signature"):
        wsgi_calls(app, cookies[kind])()
    assert users[0] is not None
    assert users[1:] == [None, None]


def tables(plan: Plan = FULL) -> str:
    runs = in_processes("benchmarks.first_seen:cases", plan)
    return table("What a first-seen token costs", ROWS, runs, unit="raw verify")


if __name__ == "__main__":
    print(tables())
