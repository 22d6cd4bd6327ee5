"""What does a sealed session cost? Known beside a known token, first seen beside joserfc.

A cookie of a sealed session holds three tokens in about 3,150 characters, where that of a token
session has 1,185: copying it out of the request and looking it up take longer. What that alone
amounts to is shown by a token of the sealed cookie's length, which is the sealed one's unit.

The unit of a first look is what one would write with joserfc: `jwe.decrypt_compact` of the three
tokens as JSON (`dir`, A256GCM), `json.loads` of its content, and one verification of the ID token.
The second table of it, which is stricter, puts the library's own `Verifier` in the place of
joserfc's `jwt.decode` and claims registry. As with tokens, every call is a first one, and pays for
an eviction.
"""

import json
import secrets
from collections.abc import Iterator
from itertools import cycle

from joserfc import jwe
from joserfc.jwk import OctKey

from amplify_mw import AmplifyConfig, SealedSession
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.engine import Engine
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .harness import FULL, Call, Plan, Row, in_processes, table
from .report import Limit, Table, at_most
from .requests import asgi_app, asgi_calls, ask, cookie_header, wsgi_app, wsgi_calls
from .sessions import sign_in
from .tokens import Mint
from .verification import joserfc_decode, our_verifier

COUNT = 400
SHELLS = ("WSGI", "ASGI")
DECRYPT = "joserfc decrypt_compact, JSON"
JOSERFC = "joserfc decrypt_compact, JSON, decode"
OURS = "joserfc decrypt_compact, JSON, our Verifier"


def sealed_config(mint: Mint, **options: object) -> AmplifyConfig:
    return mint.config.replace(session=SealedSession(keys=[secrets.token_bytes(32)]), **options)


def known_cases() -> dict[str, Call]:
    mint = Mint()
    (tokens,) = mint.sets(1)
    config = sealed_config(mint)
    (sealed,) = sign_in(Engine(config), [tokens])
    long_token = mint.token_of_length(len(sealed))
    cases: dict[str, Call] = {}
    for shell, app, middleware, calls in _shells():
        cookies = {
            "known token": (mint.config, tokens["id_token"]),
            "known token as long": (mint.config, long_token),
            "known sealed": (config, sealed),
        }
        cases[f"{shell}: bare app"] = calls(app, [cookie_header(tokens["id_token"])])
        cases[f"{shell}: bare app, long cookie"] = calls(app, [cookie_header(sealed)])
        for name, (kind, value) in cookies.items():
            cases[f"{shell}: {name}"] = calls(middleware(app, kind), [cookie_header(value)])
    for kind, value in ((mint.config, long_token), (config, sealed)):
        _check(kind, [cookie_header(value)])
    return cases


def known_rows() -> list[Row]:
    rows = []
    for shell in SHELLS:
        bare, long_bare = f"{shell}: bare app", f"{shell}: bare app, long cookie"
        unit = Row(f"{shell}: known token", bare)
        as_long = Row(f"{shell}: known token as long", long_bare, unit)
        rows += [
            unit,
            as_long,
            Row(
                f"{shell}: known sealed",
                long_bare,
                as_long,
                at_most(1.0),
                f"known sealed session, {shell}: of a known token as long",
            ),
        ]
    return rows


def first_cases() -> dict[str, Call]:
    mint = Mint()
    sets = mint.sets(COUNT)
    config = sealed_config(mint, cache_entries=COUNT // 2)
    headers = [cookie_header(value) for value in sign_in(Engine(config), sets)]
    _check(config, headers[:2])
    id_tokens = [tokens["id_token"] for tokens in sets]
    decrypt, decode = joserfc_decrypt(sets), joserfc_decode(mint, id_tokens)
    verify = our_verifier(mint, id_tokens)
    cases: dict[str, Call] = {
        DECRYPT: decrypt,
        JOSERFC: lambda: (decrypt(), decode()),
        OURS: lambda: (decrypt(), verify()),
    }
    for number, (shell, app, middleware, calls) in enumerate(_shells()):
        # Configurations that differ: what one shell has seen is not to be known to the other.
        own = config.replace(cache_entries=COUNT // 2 - number)
        cases[f"{shell}: bare app"] = calls(app, headers)
        cases[f"{shell}: first seen sealed"] = calls(middleware(app, own), headers)
    return cases


def first_rows(unit: Row, limit: Limit | None = None) -> list[Row]:
    firsts = [
        Row(
            f"{shell}: first seen sealed",
            f"{shell}: bare app",
            unit,
            limit,
            f"first-seen sealed session, {shell}: of joserfc's decryption and verification",
        )
        for shell in SHELLS
    ]
    return [Row(DECRYPT), unit, *firsts]


def joserfc_decrypt(sets: list[dict[str, str]]) -> Call:
    """What one would write with joserfc: a JWE of the three tokens as JSON."""
    key = OctKey.import_key(secrets.token_bytes(32))
    header = {"alg": "dir", "enc": "A256GCM"}
    following = cycle([jwe.encrypt_compact(header, json.dumps(each), key) for each in sets])

    def call():
        return json.loads(jwe.decrypt_compact(next(following), key).plaintext)

    assert call() == sets[0]
    return call


def _shells() -> list[tuple]:
    return [
        ("WSGI", wsgi_app, AmplifyWSGIMiddleware, wsgi_calls),
        ("ASGI", asgi_app, AmplifyASGIMiddleware, asgi_calls),
    ]


def _check(config: AmplifyConfig, headers: list[str]) -> None:
    """What is timed works: each of these signs a user in."""
    users = []

    def witness(environ, start_response):
        users.append(ask())
        return wsgi_app(environ, start_response)

    call = wsgi_calls(AmplifyWSGIMiddleware(witness, Engine(config)), headers)
    for _ in headers:
        call()
    assert users
    assert None not in users


def tables(plan: Plan = FULL) -> Iterator[Table]:
    yield table(
        "What a known sealed session costs (beside a token as long)",
        known_rows(),
        in_processes("benchmarks.sealed:known_cases", plan.shorter),
        unit="token",
    )
    first = in_processes("benchmarks.sealed:first_cases", plan.shorter)
    yield table(
        "What a first-seen sealed session costs",
        first_rows(Row(JOSERFC), at_most(1.3)),
        first,
        unit="joserfc",
    )
    yield table("The same beside a quicker verification", first_rows(Row(OURS)), first, unit="unit")


if __name__ == "__main__":
    print(*tables(), sep="\n")
