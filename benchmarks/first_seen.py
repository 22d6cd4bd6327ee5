"""What does a session cost that was never seen, or that is refused? In raw RSA-2048 verifications.

- The unit is `cryptography`'s `public_key.verify` of the same tokens' signatures, with everything
  else made beforehand.
- First seen, of each kind: the caches hold half as many entries as there are sessions, so that one
  has been evicted when its turn comes again: every call is a first one, and pays for an eviction.
  One token is verified, or two (Amplify's cookies); what is sealed or stored is decrypted too.
- Refused, by reason: nothing of these is kept, whoever sends them. The response clears the cookie.
  A bad signature, a wrong client, a wrong `token_use` and an expiry are known once the signature
  has been looked at, the other reasons before. A malformed token is one that is parsed in vain: it
  has a member twice.
- A bare app is given as long a cookie.
"""

import atexit
import os
import secrets
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory
from typing import NamedTuple
from uuid import uuid4

from joserfc import jwt

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    AuthError,
    SealedSession,
    StoredSession,
    get_current_user,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.engine import Engine
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.web.base64url import decode, encode
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .amplify_cookies import NAMES, amplify_header
from .harness import FULL, TINY, Call, Plan, Row, in_processes, table
from .report import Table, at_most
from .requests import asgi_app, asgi_calls, cookie_header, wsgi_app, wsgi_calls
from .sessions import sign_in
from .tokens import Mint, forged
from .verification import raw_verify

COUNT = 200
RAW = Row("raw RSA-2048 verify")
KINDS = ("token", "sealed session", "Amplify's cookies", "session in SQLite")
REASONS = {
    "bad signature": "bad_signature",
    "unknown kid": "unknown_key",
    "malformed": "malformed_token",
    "wrong issuer": "wrong_issuer",
    "wrong client": "wrong_client",
    "wrong token_use": "wrong_token_use",
    "unsupported algorithm": "unsupported_algorithm",
    "expired": "token_expired",
}


class Sent(NamedTuple):
    """`Cookie` headers that come by turns, and whom they are for."""

    config: AmplifyConfig
    headers: list[str]


class Shell(NamedTuple):
    """A shell's bare app, one that tells in a list why nobody is signed in, and its requests."""

    app: Callable
    telling: Callable[[list[str | None]], Callable]
    middleware: Callable
    calls: Callable[[Callable, list[str]], Call]


def telling_wsgi_app(found: list[str | None]) -> Callable:
    def app(environ, start_response):
        found.append(_why_nobody())
        return wsgi_app(environ, start_response)

    return app


def telling_asgi_app(found: list[str | None]) -> Callable:
    async def app(scope, receive, send):
        found.append(_why_nobody())
        await asgi_app(scope, receive, send)

    return app


def wsgi_cases(count: str) -> dict[str, Call]:
    return _cases(Shell(wsgi_app, telling_wsgi_app, AmplifyWSGIMiddleware, wsgi_calls), int(count))


def asgi_cases(count: str) -> dict[str, Call]:
    return _cases(Shell(asgi_app, telling_asgi_app, AmplifyASGIMiddleware, asgi_calls), int(count))


def _cases(shell: Shell, count: int) -> dict[str, Call]:
    mint = Mint()
    sets = mint.sets(count)
    good = [tokens["id_token"] for tokens in sets]
    found = {RAW.case: raw_verify(mint, good)}
    for kind, (config, headers) in first_seen(mint, sets).items():
        _check(shell, config, headers, None)
        forgetful = shell.middleware(shell.app, Engine(config.replace(cache_entries=count // 2)))
        found[_bare(kind)] = shell.calls(shell.app, headers)
        found[_first(kind)] = shell.calls(forgetful, headers)
    for reason, tokens in refused(mint, good).items():
        headers = [cookie_header(token) for token in tokens]
        _check(shell, mint.config, headers, REASONS[reason])
        found[_refused(reason)] = shell.calls(shell.middleware(shell.app, mint.config), headers)
    return found


def first_seen(mint: Mint, sets: list[dict[str, str]]) -> dict[str, Sent]:
    """Who is signed in by each kind of session."""
    folder = TemporaryDirectory(prefix="amplify_mw-benchmark-")
    store = SQLiteStore(os.path.join(folder.name, "sessions.db"))
    atexit.register(folder.cleanup)
    atexit.register(store.close)
    amplify = mint.config.replace(session=AmplifyCookies())
    turns = range(max(NAMES // len(sets), 1))  # more users' names than are kept of such things
    found = {
        "token": Sent(mint.config, [cookie_header(tokens["id_token"]) for tokens in sets]),
        "Amplify's cookies": Sent(
            amplify, [amplify_header(tokens, str(uuid4())) for _ in turns for tokens in sets]
        ),
    }
    for kind, session in {
        "sealed session": SealedSession(keys=[secrets.token_bytes(32)]),
        "session in SQLite": StoredSession(store),
    }.items():
        config = mint.config.replace(session=session)
        values = sign_in(Engine(config), sets)
        found[kind] = Sent(config, [cookie_header(value) for value in values])
    return found


def refused(mint: Mint, good: list[str]) -> dict[str, list[str]]:
    """Tokens of this pool's key set that are to be refused, by reason."""
    return {
        "bad signature": [forged(token) for token in good],
        "unknown kid": [_headed(token, kid=secrets.token_urlsafe(32)) for token in good],
        "malformed": [_doubled(token) for token in good],
        "wrong issuer": [_signed(mint, token, iss="https://example.com/pool") for token in good],
        "wrong client": [_signed(mint, token, aud="another") for token in good],
        "wrong token_use": [_signed(mint, token, token_use="refresh") for token in good],
        "unsupported algorithm": [_headed(token, kid=mint.kid, alg="PS256") for token in good],
        "expired": mint.tokens(len(good), lifetime=-3600),
    }


def _signed(mint: Mint, token: str, **changes: str) -> str:
    claims = jwt.decode(token, mint.key).claims
    return jwt.encode({"kid": mint.kid, "alg": "RS256"}, {**claims, **changes}, mint.key)


def _headed(token: str, kid: str, alg: str = "RS256") -> str:
    """`token` with another header. Its signature is not looked at."""
    header = f'{{"kid":"{kid}","alg":"{alg}"}}'
    return ".".join([encode(header.encode()).decode(), *token.split(".")[1:]])


def _doubled(token: str) -> str:
    """`token` with a member that comes twice, the second time at its end."""
    header, claims, signature = token.split(".")
    text = decode(claims.encode())[:-1] + b',"sub":"0"}'
    return ".".join([header, encode(text).decode(), signature])


def _check(shell: Shell, config: AmplifyConfig, headers: list[str], reason: str | None) -> None:
    """What is timed works: a user is signed in, or refused for this reason."""
    found: list[str | None] = []
    app = shell.middleware(shell.telling(found), config)
    call = shell.calls(app, headers[:3])
    for _ in headers[:3]:
        call()
    assert found == [reason] * len(headers[:3]), found


def _why_nobody() -> str | None:
    """Why nobody is signed in; None if somebody is."""
    try:
        get_current_user()
    except AuthError as error:
        return error.reason
    return None


# The tables.


def rows(shell: str) -> list[Row]:
    found = [RAW]
    for kind in KINDS:
        limit, aim = None, ""
        if kind == "token":
            limit, aim = (
                at_most(2.2),
                f"first-seen token, {shell}: of one raw RSA-2048 verification",
            )
        found += [Row(_bare(kind)), Row(_first(kind), _bare(kind), RAW, limit, aim)]
    return [*found, *(Row(_refused(reason), _bare("token"), RAW) for reason in REASONS)]


def _bare(kind: str) -> str:
    return f"bare app, {kind}"


def _first(kind: str) -> str:
    return f"first-seen {kind}"


def _refused(reason: str) -> str:
    return f"refused token: {reason}"


def tables(plan: Plan = FULL) -> Iterator[Table]:
    count = 4 if plan == TINY else COUNT
    for shell in ("WSGI", "ASGI"):
        yield table(
            f"What a first-seen session costs, and a refused one: {shell}",
            rows(shell),
            in_processes(f"benchmarks.first_seen:{shell.lower()}_cases", plan, str(count)),
            unit="raw verify",
        )


if __name__ == "__main__":
    print(*tables(), sep="\n")
