"""Checks of the pool's own description: its OpenID configuration, beside ours.

Rules:
- The document is asked for below the addresses of the key set; nothing in it is asked.
- The issuer decides: tokens name it, and only configured ones count. The other members are hints.
"""

from collections.abc import Iterator
from typing import Any, Final

from ...cognito.api import json_object
from ...config.pool import UserPool
from ...config.regions import region_of, updated_issuer
from ...effects import Request
from ...models.check import Check
from .subject import LATER, Answer, Subject, origin_of, quoted

_KEYS: Final = "/.well-known/jwks.json"
_DOCUMENT: Final = "/.well-known/openid-configuration"


def discovery(subject: Subject) -> Iterator[Check]:
    """The document itself, and its members."""
    for pool in subject.config.user_pools:
        answer = subject.ask(Request("GET", _address(pool)))
        members = _members(answer)
        if members is None:
            yield _unusable(pool, answer)
        else:
            yield Check("discovery", "ok", answer.request.url)
            yield _issuer(pool, members)
            yield _key_set_address(pool, members)
            if pool.domain is not None:
                yield _domain(pool.domain, members)


def named_issuer(subject: Subject, pool: UserPool) -> str:
    """The issuer in the pool's document; that of the configuration if there is none."""
    found = (_members(subject.ask(Request("GET", _address(pool)))) or {}).get("issuer")
    return found if found in pool.accepted_issuers else pool.iss


def _address(pool: UserPool) -> str:
    return pool.keys_urls_of(pool.iss)[0].removesuffix(_KEYS) + _DOCUMENT


def _members(answer: Answer) -> dict[str, Any] | None:
    if answer.response is None or answer.response.status != 200:
        return None
    return json_object(answer.response) or None


def _unusable(pool: UserPool, answer: Answer) -> Check:
    found = f"{answer.request.url}: {answer.told}"
    status = None if answer.response is None else answer.response.status
    if status is None or status >= 500 or status == 429:
        return Check("discovery", "unknown", found, mend=LATER)
    if pool.issuers == "updated" and status == 403:
        mend = "write issuers='both', or set the pool's IssuerConfiguration to UPDATED"
        return Check("discovery", "wrong", found, mend=mend)
    mend = "check user_pool_id, endpoint_url and issuer: there is no such pool at this address"
    return Check("discovery", "wrong", found, "the pool's OpenID configuration", mend)


def _issuer(pool: UserPool, members: dict[str, Any]) -> Check:
    found = members.get("issuer")
    if found in pool.accepted_issuers:
        return Check("issuer", "ok", f"{found}{_kind(pool, str(found))}")
    wanted = " or ".join(pool.accepted_issuers)
    region = region_of(pool.user_pool_id)
    if region is not None and found == updated_issuer(pool.user_pool_id, region):
        mend = "write issuers='both': the pool's IssuerConfiguration is UPDATED"
    elif pool.issuers == "updated":
        mend = "write issuers='both', or set the pool's IssuerConfiguration to UPDATED"
    elif pool.issuer is not None:
        mend = f"write issuer={quoted(found)}, if that is your pool"
    else:
        mend = "check user_pool_id and endpoint_url: another pool answers, or an emulator, which "
        mend += "needs issuer='...' as its tokens have it"
    return Check("issuer", "wrong", quoted(found), wanted, mend)


def _kind(pool: UserPool, issuer: str) -> str:
    region = region_of(pool.user_pool_id)
    if region is None or not issuer.startswith("https://"):
        return ""
    is_updated = issuer == updated_issuer(pool.user_pool_id, region)
    return " (UPDATED)" if is_updated else "" if issuer == pool.issuer else " (ORIGINAL)"


def _key_set_address(pool: UserPool, members: dict[str, Any]) -> Check:
    found = members.get("jwks_uri")
    asked = [url for issuer in pool.accepted_issuers for url in pool.keys_urls_of(issuer)]
    if found in asked or pool.keys is not None:
        return Check("key_set_address", "ok", quoted(found))
    mend = "check endpoint_url and issuer, if the key set below is not this pool's"
    return Check("key_set_address", "warning", quoted(found), " or ".join(asked), mend)


def _domain(domain: str, members: dict[str, Any]) -> Check:
    ends = [members.get(f"{name}_endpoint") for name in ("authorization", "token")]
    found = {origin_of(url) for url in ends if isinstance(url, str)}
    if found == {domain}:
        return Check("domain", "ok", domain)
    if not found:
        mend = "give the pool a domain, or leave out domain and routes"
        return Check("domain", "wrong", "the pool names no domain", domain, mend)
    mend = "write domain=... as the pool names it, unless the pool has both"
    return Check("domain", "warning", quoted(", ".join(sorted(found))), domain, mend)
