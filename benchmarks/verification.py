"""What does verifying a token cost, by its size? Raw, by joserfc, by PyJWT, and by the library.

- Raw is `cryptography`'s `public_key.verify` alone, its arguments made beforehand: no verification
  of RS256 can cost less. The others are held against it at the same size.
- All have the key at hand and fetch nothing. What joserfc and PyJWT do not check by themselves is
  asked of them as their documentation shows it: `iss`, `aud`, `token_use`, and that `exp` is there.
- PyJWKClient is how PyJWT's documentation finds the key; here its cache of the key set is filled.
- The library's `Verifier` is run through its driver, as a middleware does it.
- Each call verifies another token than the one before. Shorter ones have the claims that Cognito
  always writes, longer ones all of a user with a few attributes, and one long attribute.
"""

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from statistics import median

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.errors import JoseError

from amplify_mw.cognito.verifier import InvalidToken
from amplify_mw.engine.engine import Engine

from .harness import FULL, TINY, Call, Plan, in_processes
from .report import Spread, Table, installed, versions
from .tokens import CLIENT_ID, Mint, forged

COUNT = 50
SIZES = (800, 1200, 2000, 4000, 8000)
NEEDED = ("sub", "iss", "cognito:username", "aud", "token_use", "auth_time", "exp", "iat")
RAW = "raw RSA-2048 verify"
JOSERFC = "joserfc decode and claims"
PYJWT = "PyJWT decode"
PYJWK = "PyJWT decode, PyJWKClient"
OURS = "amplify_mw"


def cases(count: str) -> dict[str, Call]:
    mint = Mint()
    found: dict[str, Call] = {}
    for size in SIZES:
        for name, call in candidates(mint, tokens_of(mint, size, int(count))).items():
            found[_case(size, name)] = call
    return found


def tokens_of(mint: Mint, size: int, count: int) -> list[str]:
    """So many ID tokens of about `size` characters."""
    if size < len(mint.tokens(1)[0]):
        return [_shortened(mint, token) for token in mint.tokens(count)]
    return [mint.token_of_length(size) for _ in range(count)]


def _shortened(mint: Mint, token: str) -> str:
    claims = jwt.decode(token, mint.key).claims
    header = {"kid": mint.kid, "alg": "RS256"}
    return jwt.encode(header, {name: claims[name] for name in NEEDED}, mint.key)


def candidates(mint: Mint, tokens: list[str]) -> dict[str, Call]:
    """Who verifies these tokens. All accept them, and refuse a forged one."""
    found = {RAW: raw_verify(mint, tokens), JOSERFC: joserfc_decode(mint, tokens)}
    if installed("PyJWT"):
        found |= pyjwt_decode(mint, tokens)
    found[OURS] = our_verifier(mint, tokens)
    for call in found.values():
        call()
    _check_refusals(mint, [forged(tokens[0])])
    return found


def _check_refusals(mint: Mint, refused: list[str]) -> None:
    checked: dict[type[Exception], list[Call]] = {
        JoseError: [joserfc_decode(mint, refused)],
        InvalidToken: [our_verifier(mint, refused)],
    }
    if installed("PyJWT"):
        from jwt.exceptions import InvalidSignatureError

        checked[InvalidSignatureError] = list(pyjwt_decode(mint, refused).values())
    for expected, calls in checked.items():
        for call in calls:
            try:
                call()
            except expected:
                continue
            raise AssertionError("a forged token was accepted")


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


def pyjwt_decode(mint: Mint, tokens: list[str]) -> dict[str, Call]:
    """What one would write with PyJWT: the same, with the key at hand and with its client."""
    from jwt import PyJWK, PyJWKClient, decode

    issuer = mint.config.user_pools[0].iss
    known = PyJWK(mint.key_set["keys"][0])
    client = PyJWKClient(f"{issuer}/.well-known/jwks.json", lifespan=86_400)
    client.jwk_set_cache.put(mint.key_set)

    def verified(token: str, key: PyJWK) -> None:
        claims = decode(
            token,
            key,
            algorithms=["RS256"],
            audience=CLIENT_ID,
            issuer=issuer,
            options={"require": ["exp", "iss", "aud", "token_use"]},
        )
        assert claims["token_use"] == "id"

    def with_client(token: str) -> None:
        verified(token, client.get_signing_key_from_jwt(token))

    preloaded, asking = cycle(tokens), cycle(tokens)
    return {
        PYJWT: lambda: verified(next(preloaded), known),
        PYJWK: lambda: with_client(next(asking)),
    }


def our_verifier(mint: Mint, tokens: list[str]) -> Call:
    engine = Engine(mint.config)
    verify, run = engine.authenticator.verifier.verify, engine.driver.run
    following = cycle([token.encode() for token in tokens])
    return lambda: run(verify(next(following), time.time()))


def _case(size: int, name: str) -> str:
    return f"{size}: {name}"


def rows(runs: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, ...]]:
    """What each takes, what that is over raw and beside it; one size after another."""
    mint = Mint()
    for size in SIZES:
        length = median(map(len, tokens_of(mint, size, 3)))
        for name in (RAW, JOSERFC, PYJWT, PYJWK, OURS):
            case = _case(size, name)
            if case not in runs[0]:
                continue
            pairs = [(run[case], run[_case(size, RAW)]) for run in runs]
            cells = [Spread.of([taken for taken, _ in pairs]).text()]
            if name != RAW:
                cells.append(Spread.of([taken - raw for taken, raw in pairs]).text())
                cells.append(Spread.of([taken / raw for taken, raw in pairs]).text())
            yield (f"{length:,} bytes: {name}", *cells)


def tables(plan: Plan = FULL) -> Iterator[Table]:
    count = 3 if plan == TINY else COUNT
    runs = in_processes("benchmarks.verification:cases", plan.shorter, str(count))
    missing = [] if installed("PyJWT") else ["PyJWT is left out: not installed."]
    yield Table(
        "What verifying an ID token costs, by its size",
        ("", "µs a call", "µs beside the signature", "times raw"),
        list(rows(runs)),
        about="Beside the signature: what parsing the token and checking its claims take.",
        notes=[f"{versions(('cryptography', 'joserfc', 'PyJWT'))}.", *missing],
    )


if __name__ == "__main__":
    print(*tables(), sep="\n")
