"""What do Amplify JS's cookies cost? Beside an `amplify-session`, and with others' left behind.

What a browser sends for one user is 5 kB in six cookies: an access, an ID and a refresh token as
long as Cognito's, `LastAuthUser`, `signInDetails` and `clockDrift`. Users who signed in before it
leave theirs behind: 12 of them make a header of 60 kB (what some servers take), 20 one of 100 kB.

- Every header is a new object, as a server makes it: no look-up gains by having met it, or by its
  hash. The bare app's calls pay for the making.
- First sight: no header comes twice (an analytics cookie counts), and the caches hold half as many
  entries as there are sets of tokens, so that each has been evicted when its turn comes again. The
  names of users and their `signInDetails` are more than what is kept of such things. The unit
  verifies the ID token alone; Amplify's cookies take the access token's verification, too.
- Known: one user's header, byte for byte the same on each request; and with the analytics cookie,
  so that only what is within the header is known. The units have that, too.
- The last table is there where Node is, and the packages that tests/amplify_js has installed:
  Amplify's own `getCurrentUser` on a server, for the same cookies, in turns with fresh processes
  of ours. It verifies the access token on each request. Its time has in it what Next makes of a
  request (`NextRequest`, `NextResponse.next()`); what is over our bare app is ours alone.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from itertools import count, cycle
from pathlib import Path
from statistics import median
from typing import NamedTuple
from uuid import uuid4

from joserfc import jwt

from amplify_mw import AmplifyConfig, AmplifyCookies, SealedSession
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.engine import Engine
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .harness import FULL, Call, Plan, Row, drive, in_processes, table
from .report import Limit, Table, at_most
from .requests import OTHERS, asgi_app, ask, cookie_header, environ, receive, scope, send, wsgi_app
from .sessions import sign_in
from .tokens import CLIENT_ID, Mint

COUNT = 200
NAMES = 1300  # of users, in the cookies
ID_LENGTH, REFRESH_LENGTH = 1745, 1852  # the access token has about 1,080 characters
STALE = {"60 kB": 12, "100 kB": 20}  # headers, and the users who have left cookies in them
SHELLS = ("WSGI", "ASGI")
AMPLIFY = "Amplify's getCurrentUser (Node)"

Headers = Iterator[tuple[str, ...]]  # of each request, in pieces


class Shell(NamedTuple):
    """A shell's bare app, its middleware, and one request of an app a call."""

    name: str
    app: Callable
    middleware: Callable
    calls: Callable[[Callable, Headers], Call]


def wsgi_calls(app: Callable, headers: Headers) -> Call:
    model = environ(None)

    def start_response(status, headers, exc_info=None):
        return None

    def call():
        header = "".join(next(headers))
        for _ in app({**model, "HTTP_COOKIE": header}, start_response):
            pass

    return call


def asgi_calls(app: Callable, headers: Headers) -> Call:
    model = scope(None)
    octets = (tuple(piece.encode() for piece in pieces) for pieces in headers)

    def call():
        sent = [*model["headers"], (b"cookie", b"".join(next(octets)))]
        drive(app({**model, "headers": sent}, receive, send))

    return call


_SHELLS = (
    Shell("WSGI", wsgi_app, AmplifyWSGIMiddleware, wsgi_calls),
    Shell("ASGI", asgi_app, AmplifyASGIMiddleware, asgi_calls),
)


def same(*header: str) -> Headers:
    """A header that is the same on each request, and a new object."""
    return cycle([("", *header)])


def counting(*headers: tuple[str, ...]) -> Headers:
    """Headers by turns, none of which comes twice."""
    visits = count(1_000_000_000)
    return ((f"_ga=GA1.1.{next(visits)}; ", *header) for header in cycle(headers))


# What browsers send.


def token_sets(mint: Mint, number: int) -> list[dict[str, str]]:
    """Sign-ins of so many users, with tokens as long as Cognito's."""
    found = []
    for tokens in mint.sets(number):
        id_token = _minted(mint, tokens["id_token"], note=ID_LENGTH)
        refresh_token = tokens["refresh_token"].ljust(REFRESH_LENGTH, "A")
        access_token = _minted(mint, tokens["access_token"])
        found.append(
            {"access_token": access_token, "id_token": id_token, "refresh_token": refresh_token}
        )
    return found


def _minted(mint: Mint, token: str, note: int = 0) -> str:
    """A token again, of a user without groups. `note`: as long as that, by some claim."""
    claims = dict(jwt.decode(token, mint.key).claims)
    del claims["cognito:groups"]
    header = {"kid": mint.kid, "alg": "RS256"}
    if note:
        claims["custom:note"] = ""
        spare = note - len(jwt.encode(header, claims, mint.key))
        claims["custom:note"] = "a" * (spare * 3 // 4)
    return jwt.encode(header, claims, mint.key)


def amplify_header(tokens: dict[str, str], user: str, client: str = CLIENT_ID) -> str:
    """The `Cookie` header of a browser, others' cookies first."""
    last = f"CognitoIdentityServiceProvider.{client}.LastAuthUser={user}"
    return "; ".join([OTHERS, last, *_of_user(user, tokens, client)])


def left_behind(tokens: dict[str, str], users: int) -> str:
    """What is in front of that where so many users have left cookies as long as these."""
    found = (_of_user(str(uuid4()), _as_long(tokens), CLIENT_ID) for _ in range(users))
    return "".join(f"{cookie}; " for cookies in found for cookie in cookies)


def _of_user(user: str, tokens: dict[str, str], client: str) -> list[str]:
    login = f"{user[:8]}@example.com"
    details = f"{{%22loginId%22:%22{login}%22%2C%22authFlowType%22:%22USER_SRP_AUTH%22}}"
    prefix = f"CognitoIdentityServiceProvider.{client}.{user}"
    return [
        f"{prefix}.accessToken={tokens['access_token']}",
        f"{prefix}.idToken={tokens['id_token']}",
        f"{prefix}.refreshToken={tokens['refresh_token']}",
        f"{prefix}.signInDetails={details}",
        f"{prefix}.clockDrift=-312",
    ]


def _as_long(tokens: dict[str, str]) -> dict[str, str]:
    return {name: secrets.token_urlsafe(len(each) * 3 // 4) for name, each in tokens.items()}


def _user(mint: Mint, tokens: dict[str, str]) -> str:
    return jwt.decode(tokens["id_token"], mint.key).claims["cognito:username"]


# The cases.


def first_cases() -> dict[str, Call]:
    mint = Mint()
    sets = token_sets(mint, COUNT)
    users = [_user(mint, tokens) for tokens in sets]
    mine = [
        amplify_header(tokens, str(uuid4()))
        for tokens, _ in zip(cycle(sets), range(NAMES), strict=False)
    ]
    headers = {
        "one token": [(cookie_header(tokens["id_token"]),) for tokens in sets],
        "Amplify's cookies": [(header,) for header in mine],
    }
    for size, stale in STALE.items():
        others = cycle([left_behind(tokens, stale) for tokens in sets])
        headers[_stale(size)] = list(zip(others, mine, strict=False))
    cases: dict[str, Call] = {}
    for number, (kind, sent) in enumerate(headers.items()):
        # Configurations that differ: what one has seen is not to be known to the other.
        config = _config(mint, kind).replace(cache_entries=COUNT // 2 - 2 * number)
        _check(config, counting(*sent), users)
        for at, shell in enumerate(_SHELLS):
            own = Engine(config.replace(cache_entries=config.cache_entries - at))
            cases[f"{shell.name}: bare app, {kind}"] = shell.calls(shell.app, counting(*sent))
            middleware = shell.middleware(shell.app, own)
            cases[f"{shell.name}: {kind}"] = shell.calls(middleware, counting(*sent))
    return cases


def known_cases() -> dict[str, Call]:
    mint = Mint()
    (tokens,) = token_sets(mint, 1)
    user = _user(mint, tokens)
    amplify = mint.config.replace(session=AmplifyCookies())
    sealed = mint.config.replace(session=SealedSession(keys=[secrets.token_bytes(32)]))
    (value,) = sign_in(Engine(sealed), [tokens])
    mine = amplify_header(tokens, user)
    kinds: dict[str, tuple[AmplifyConfig, tuple[str, ...]]] = {
        "token session": (mint.config, (cookie_header(tokens["id_token"]),)),
        "sealed session": (sealed, (cookie_header(value),)),
        "Amplify's cookies": (amplify, (mine,)),
    }
    for size, stale in STALE.items():
        kinds[_stale(size)] = amplify, (left_behind(tokens, stale), mine)
    cases: dict[str, Call] = {}
    for kind, (config, header) in kinds.items():
        for change in ("", _CHANGING):
            _check(config, _sent(header, change), [user, user])
            for shell in _SHELLS:
                bare = f"{shell.name}: bare app, {kind}{change}"
                cases[bare] = shell.calls(shell.app, _sent(header, change))
                middleware = shell.middleware(shell.app, Engine(config))
                cases[f"{shell.name}: {kind}{change}"] = shell.calls(
                    middleware, _sent(header, change)
                )
    return cases


def _sent(header: tuple[str, ...], change: str) -> Headers:
    return counting(header) if change else same(*header)


def beside_cases(told: str) -> dict[str, Call]:
    """Known cookies of a pool that is told of in JSON: its settings, and the header."""
    given = json.loads(told)
    header = given.pop("header")
    config = AmplifyConfig(**given, session=AmplifyCookies())
    _check(config, same(header), ["ada", "ada"])
    cases: dict[str, Call] = {}
    for shell in _SHELLS:
        cases[f"{shell.name}: bare app"] = shell.calls(shell.app, same(header))
        middleware = shell.middleware(shell.app, Engine(config))
        cases[f"{shell.name}: amplify_mw"] = shell.calls(middleware, same(header))
    return cases


_CHANGING = ", another changes"


def _stale(size: str) -> str:
    return f"Amplify's, {size} header"


def _config(mint: Mint, kind: str) -> AmplifyConfig:
    return mint.config if kind == "one token" else mint.config.replace(session=AmplifyCookies())


def _check(config: AmplifyConfig, headers: Headers, users: list[str]) -> None:
    """What is timed works: each of these headers signs its user in."""
    found = []

    def witness(environ, start_response):
        found.append(ask())
        return wsgi_app(environ, start_response)

    call = wsgi_calls(AmplifyWSGIMiddleware(witness, Engine(config)), headers)
    for _ in users:
        call()
    assert found == users


# The tables.


def first_rows() -> list[Row]:
    rows = []
    for shell in SHELLS:
        unit = _row(shell, "one token", None)
        aim = f"first sight of Amplify's cookies, {shell}: of one token"
        rows += [unit, _row(shell, "Amplify's cookies", unit, at_most(2.2), aim)]
    return rows


def known_rows(unit: str, change: str = "", limit: Limit | None = None) -> list[Row]:
    rows = []
    for shell in SHELLS:
        session = _row(shell, f"{unit}{change}", None)
        aim = f"known Amplify's cookies, {shell}: of a known {unit}"
        rows += [session, _row(shell, f"Amplify's cookies{change}", session, limit, aim)]
    return rows


def stale_rows(sight: str, change: str = "", limit: Limit | None = None) -> list[Row]:
    """`sight`: for the report's words, "known" or "first sight of"."""
    rows = []
    for shell in SHELLS:
        alone = _row(shell, f"Amplify's cookies{change}", None)
        rows.append(alone)
        for size in STALE:
            aim = f"{sight} Amplify's cookies amid {size} of others', {shell}: of these alone"
            rows.append(_row(shell, f"{_stale(size)}{change}", alone, limit, aim))
    return rows


def _row(shell: str, kind: str, unit: Row | None, limit: Limit | None = None, aim: str = "") -> Row:
    return Row(f"{shell}: {kind}", f"{shell}: bare app, {kind}", unit, limit, aim)


def beside_rows() -> list[Row]:
    theirs = Row(AMPLIFY)
    ours = (Row(f"{shell}: amplify_mw", f"{shell}: bare app", theirs) for shell in SHELLS)
    return [theirs, *ours]


def tables(plan: Plan = FULL) -> Iterator[Table]:
    first = in_processes("benchmarks.amplify_cookies:first_cases", plan.shorter)
    yield table("What a first sight of Amplify's cookies costs", first_rows(), first, unit="token")
    yield table(
        "What a first sight of Amplify's cookies costs, with stale users'",
        stale_rows("first sight of", limit=at_most(2.0)),
        first,
        unit="ones alone",
    )
    known = in_processes("benchmarks.amplify_cookies:known_cases", plan.shorter)
    title = "What a known user of Amplify's cookies costs"
    for unit in ("token session", "sealed session"):
        rows = known_rows(unit, limit=at_most(2.0)) + known_rows(unit, _CHANGING)
        yield table(f"{title} (beside a {unit})", rows, known, unit=unit.split()[0])
    rows = stale_rows("known", limit=at_most(2.0)) + stale_rows("known", _CHANGING)
    yield table(f"{title}, with stale users'", rows, known, unit="ones alone")
    yield beside_amplify(f"{title}, beside Amplify's server", plan.shorter)


def beside_amplify(title: str, plan: Plan) -> Table:
    scripts = amplify_js()
    if scripts is None:
        why = "Left out: no Node, or not the packages that tests/amplify_js installs."
        return Table(title, ("", "µs a call"), [], notes=[why])
    return table(title, beside_rows(), beside(scripts, plan), unit="Amplify")


# Amplify itself.


def amplify_js() -> Path | None:
    """Where Amplify JS is installed for the tests; None where it is not, or there is no Node."""
    from tests.amplify_js import installation

    manifests = (installation.HERE / name for name in installation.MANIFESTS)
    home = installation.cache_folder() / installation._digest(manifests)
    if not home.exists():
        return None  # 320 MB are not installed for one line of a table
    try:
        return installation.installed()
    except installation.Unavailable:
        return None


def beside(scripts: Path, plan: Plan) -> list[dict[str, float]]:
    """Microseconds of Amplify's function and of ours, for the same cookies."""
    from tests.amplify_js.node import AmplifyJS, issuer

    runs = []
    with LocalUserPool(issuer=issuer()) as pool:
        pool.add_user("ada", email="ada@example.com", name="Ada")
        spare = ID_LENGTH - len(pool.mint("ada", "id", claims={"custom:note": ""}))
        tokens = {
            "access_token": pool.mint("ada", "access"),
            "id_token": pool.mint("ada", "id", claims={"custom:note": "a" * (spare * 3 // 4)}),
            "refresh_token": secrets.token_urlsafe(REFRESH_LENGTH * 3 // 4),
        }
        header = amplify_header(tokens, "ada", pool.client_id)
        told = {"user_pool_id": pool.user_pool_id, "client_id": pool.client_id}
        told |= {"issuer": pool.issuer, "keys": pool.jwks(), "header": header}
        for _ in range(plan.processes):
            single = Plan(1, plan.rounds, plan.batch)
            module = "benchmarks.amplify_cookies:beside_cases"
            (run,) = in_processes(module, single, json.dumps(told))
            with AmplifyJS(scripts) as amplify:
                assert amplify.ask(pool, header).ok["username"] == "ada"
                times = amplify.bench(pool, header, calls=plan.rounds * 400)
            runs.append({**run, AMPLIFY: median(times[len(times) // 2 :])})  # once it is compiled
    return runs


if __name__ == "__main__":
    print(*tables(), sep="\n")
