"""Checks of the pool's key set, and of preloaded keys beside it.

Rules:
- A key set is read as the verifier reads it (`cognito.keys`).
- Of Amazon's two issuers the one named by the pool counts: the host of the other may refuse.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from ...cognito.keys import BadKeySet, import_key_set
from ...config.files import read_keys
from ...config.pool import UserPool
from ...effects import Request
from ...errors import ConfigurationError
from ...models.check import Check
from .discovery import named_issuer
from .subject import LATER, Answer, Subject

if TYPE_CHECKING:
    from ...cognito.rsa import RSAKey

_LOOK: Final = "check user_pool_id, endpoint_url and issuer; keys='jwks.json' needs no fetching"


def key_set(subject: Subject) -> Iterator[Check]:
    """The key set of each pool, and its preloaded keys."""
    for pool in subject.config.user_pools:
        urls = pool.keys_urls_of(named_issuer(subject, pool))
        answers = [subject.ask(Request("GET", url)) for url in _asked(urls)]
        live = None
        for answer in answers:
            keys = _keys(answer)
            yield _read(answer, keys)
            live = live if isinstance(keys, str) else live or keys
        if pool.keys is not None:
            yield _preloaded(pool, live, urls[0])


def _asked(urls: tuple[str, ...]) -> list[str]:
    """The addresses to ask: not the host of UPDATED issuers, unless it comes first."""
    return [urls[0], *(url for url in urls[1:] if "//issuer-cognito-idp." not in url)]


def _keys(answer: Answer) -> "Mapping[str, RSAKey] | str":
    """The keys in an answer, or the reason why there are none."""
    if answer.response is None or answer.response.status != 200:
        return answer.told
    try:
        return import_key_set(answer.response.content)
    except BadKeySet as error:
        return str(error)


def _read(answer: Answer, keys: "Mapping[str, RSAKey] | str") -> Check:
    url = answer.request.url
    if answer.follows:
        return Check("key_set", "unknown", f"{url}: {answer.told}", mend=LATER)
    if isinstance(keys, str):
        return Check("key_set", "wrong", f"{url}: {keys}", "a key set with RSA keys", _LOOK)
    return Check("key_set", "ok", f"{url}: {len(keys)} for RS256")


def _preloaded(pool: UserPool, live: "Mapping[str, RSAKey] | None", url: str) -> Check:
    """Preloaded keys, beside the pool's own."""
    name, mend = "preloaded_keys", f"save {url} anew for keys=..., or leave keys out"
    try:
        keys = import_key_set(read_keys(pool.keys or {}))
    except (BadKeySet, ConfigurationError) as error:
        return Check(name, "wrong", f"keys: {error}", mend=mend)
    if live is None:
        return Check(name, "unknown", f"{len(keys)} keys", "as the pool serves them", _LOOK)
    missing = sorted(kid for kid, key in live.items() if keys.get(kid) != key)
    if missing:
        found = f"{len(missing)} of the pool's {len(live)} keys are missing"
        return Check(name, "wrong", found, "all of them: their tokens are refused", mend)
    gone = len(keys.keys() - live.keys())
    if gone:
        found = f"{gone} of {len(keys)} keys are no longer the pool's, and still accepted"
        return Check(name, "warning", found, mend=mend)
    return Check(name, "ok", f"{len(keys)} keys, as the pool serves them")
