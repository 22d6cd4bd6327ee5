"""`UserPool`: one Cognito user pool, and the addresses it is asked at.

Rules:
- `client_id=None` accepts any app client; leaving it out is an error.
- Addresses come from the configuration alone, never from a token.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from .checks import (
    MISSING,
    check_address,
    check_flag,
    check_keys,
    check_origin,
    check_strings,
    is_insecure,
    set_fields,
)

_POOL_ID = re.compile(r"([a-z]{2,4}(?:-[a-z]+)+-[0-9])_[0-9A-Za-z]+")


_PARTITIONS: Final = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}


_ISSUER = re.compile(r"https?://[!-~]{1,1000}")


RefreshApi = Literal["GetTokensFromRefreshToken", "InitiateAuth", "oauth"]


_REFRESH_API: Final = "GetTokensFromRefreshToken"


@dataclass(frozen=True, kw_only=True)
class UserPool:
    """One Amazon Cognito user pool, and which of its app clients' tokens count.

    `user_pool_id`: such as `eu-west-1_Ab12Cd34E`; its first part is the region. Users are known by
    it and their `sub`, whichever issuer their tokens name.
    `client_id`: an app client id, several, or None for any client of the pool.
    `endpoint_url`: where the pool's API is, if not at Amazon (an emulator).
    `issuer`: the `iss` of its tokens, if not Amazon's. Beside `endpoint_url` or `keys` it is only
    compared, and may be any http or https text; else the key set is fetched below it. Of Amazon's
    both count for a pool, ORIGINAL and UPDATED (`IssuerConfiguration`), so that it may switch.
    `keys`: a key set (JWKS) that is never fetched: a mapping, or the path of a JSON file.
    `client_secret`: of the app client, if it has one; it belongs to one client.
    `domain`: where the pool's hosted sign-in is: `auth.example.com`, or
    `myapp.auth.eu-west-1.amazoncognito.com`.
    `refresh_api`: how tokens are refreshed: `GetTokensFromRefreshToken` (the default, which knows
    refresh token rotation), `InitiateAuth` (`REFRESH_TOKEN_AUTH`), or `oauth`: the token endpoint
    of the `domain`. Never does one stand in for another.
    `allow_insecure_http`: tokens and codes may go over plain http to other machines, such as
    `http://cognito:9229` in a compose file. For emulators; refused for a site on https.
    """

    user_pool_id: str
    client_id: str | Sequence[str] | None = MISSING
    endpoint_url: str | None = None
    issuer: str | None = None
    keys: Mapping[str, Any] | str | os.PathLike[str] | None = field(default=None, repr=False)
    client_secret: str | None = field(default=None, repr=False)
    domain: str | None = None
    refresh_api: RefreshApi = _REFRESH_API
    allow_insecure_http: bool = False
    iss: str = field(init=False)  # the exact issuer of its tokens, as it is configured
    issuers: tuple[str, ...] = field(init=False)  # all that may issue them, that one first
    client_ids: frozenset[str] | None = field(init=False)  # None: any
    api_url: str = field(init=False)
    keys_url: str = field(init=False)
    token_url: str | None = field(init=False)  # at the domain (RFC 6749 3.2)
    revoke_url: str | None = field(init=False)  # at the domain (RFC 7009 2)

    def __post_init__(self) -> None:
        match = (
            _POOL_ID.fullmatch(self.user_pool_id) if isinstance(self.user_pool_id, str) else None
        )
        if match is None and (self.issuer is None or self.endpoint_url is None):
            raise ConfigurationError(
                f"user_pool_id: write the pool's id, such as 'eu-west-1_Ab12Cd34E'; got "
                f"{self.user_pool_id!r} (other forms need both endpoint_url and issuer)"
            )
        region = match[1] if match else ""
        suffix = _PARTITIONS.get(region.partition("-")[0], "amazonaws.com")
        amazon = f"https://cognito-idp.{region}.{suffix}"
        original = f"{amazon}/{self.user_pool_id}"
        updated = f"https://issuer-cognito-idp.{region}.{suffix}/{self.user_pool_id}"
        insecure = check_flag("allow_insecure_http", self.allow_insecure_http)
        endpoint = check_address(
            "endpoint_url", _given(self.endpoint_url, amazon), insecure=insecure
        ).rstrip("/")
        issuer = _given(self.issuer, original)
        if self.endpoint_url is None and self.keys is None:  # the keys are below it
            check_address("issuer", issuer, insecure=insecure)
        _check_issuer(issuer)
        others = (original, updated) if match and issuer in (original, updated) else ()
        client_id = _client_id(self.client_id)
        domain = _domain(self.domain, insecure=insecure)
        _check_client_secret(self.client_secret, client_id)
        _check_refresh_api(self.refresh_api, domain)
        set_fields(
            self,
            iss=issuer,
            issuers=tuple(dict.fromkeys((issuer, *others))),
            client_id=client_id,
            client_ids=None if client_id is None else frozenset(client_id),
            api_url=f"{endpoint}/",
            keys_url=keys_url(issuer, self.endpoint_url and f"{endpoint}/{self.user_pool_id}"),
            keys=check_keys(self.keys),
            domain=domain,
            token_url=domain and f"{domain}/oauth2/token",
            revoke_url=domain and f"{domain}/oauth2/revoke",
        )

    @property
    def insecure_addresses(self) -> tuple[str, ...]:
        """The origins on other machines that are asked over plain http."""
        asked = [self.api_url, "" if self.keys else self.keys_url, self.domain or ""]
        parts = [urlsplit(url) for url in asked if is_insecure(url)]
        return tuple(dict.fromkeys(f"http://{part.netloc}" for part in parts))

    def keys_url_of(self, issuer: str) -> str:
        """Where the key set of one of its issuers is."""
        return self.keys_url if self.endpoint_url is not None else keys_url(issuer)


def keys_url(issuer: str, home: str | None = None) -> str:
    """The address of the key set: at `home`, or at the issuer."""
    return f"{(home or issuer).rstrip('/')}/.well-known/jwks.json"


def _given(url: str | None, default: str) -> str:
    return default if url is None else url


def _check_issuer(issuer: object) -> None:
    if not isinstance(issuer, str) or not _ISSUER.fullmatch(issuer):
        raise ConfigurationError(
            "issuer: write the `iss` of the pool's tokens, which begins with https:// or http://; "
            f"got {issuer!r}"
        )


def _client_id(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if value is MISSING:
        raise ConfigurationError(
            "client_id is missing: write the app client's id, several as a list, or "
            "client_id=None to accept the tokens of any client of the pool"
        )
    try:
        clients = check_strings("client_id", [value] if isinstance(value, str) else value)
    except ConfigurationError:
        clients = ()
    if not clients:
        raise ConfigurationError(
            "client_id: write the app client's id, several as a list, or None for any client of "
            f"the pool; got {value!r}"
        )
    return clients


def _check_client_secret(secret: object, client_id: tuple[str, ...] | None) -> None:
    if secret is None:
        return
    is_text = isinstance(secret, str) and secret.isascii() and secret.isprintable()
    if not is_text or not secret or " " in str(secret):
        raise ConfigurationError(
            "client_secret: write the app client's secret as Cognito shows it, or leave it out for "
            "a client without one"
        )
    if client_id is None or len(client_id) != 1:
        raise ConfigurationError(
            "client_secret: a secret belongs to one app client; write client_id='...' with that "
            "one alone"
        )


def _domain(domain: object, *, insecure: bool) -> str | None:
    """The hosted sign-in's origin."""
    if domain is None:
        return None
    is_bare = isinstance(domain, str) and "://" not in domain
    url = check_address("domain", f"https://{domain}" if is_bare else domain, insecure=insecure)
    return check_origin("domain", url, insecure=insecure)


def _check_refresh_api(api: object, domain: str | None) -> None:
    known = get_args(RefreshApi)
    if api not in known:
        raise ConfigurationError(f"refresh_api: write one of {', '.join(known)}; got {api!r}")
    if api == "oauth" and domain is None:
        raise ConfigurationError(
            "refresh_api: 'oauth' asks the token endpoint of the pool's domain; write "
            "domain='auth.example.com' too"
        )
