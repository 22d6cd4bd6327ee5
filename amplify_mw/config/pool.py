"""`UserPool`: one Cognito user pool, and the addresses of its services.

Rules:
- `client_id=None` accepts any app client; leaving it out is an error.
- Addresses come from the configuration alone, never from a token.
- Amazon's issuers follow from the pool's id, `issuers` and `regions`. An `issuer` of another's is
  the only one of its pool; Amazon's hosts have no key set of it.
- Fields hold the user's options, in one form each: a list becomes a tuple, a mapping of addresses
  becomes pairs, a mapping of keys JSON text. Everything that follows from them is a property.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..naming import named_options
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
from .regions import api_of, check_regions, original_issuer, region_of, updated_issuer

RefreshApi = Literal["GetTokensFromRefreshToken", "InitiateAuth", "oauth"]
Issuers = Literal["both", "original", "updated"]

_ISSUER: Final = re.compile(r"https?://[!-~]{1,1000}")
_MAX_SECRETS: Final = 2  # of an app client, at Cognito


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class PoolOptions:
    """The options of one user pool, in `UserPool(...)` and in `AmplifyConfig(...)`."""

    user_pool_id: str | None = None
    """The pool's id, such as `eu-west-1_Ab12Cd34E`. Its first part is the AWS Region.

    Users are identified by it and their `sub`, not by the issuer their tokens name.
    """

    client_id: str | Sequence[str] | None = MISSING
    """The app client's id, a list of several, or None for any client of the pool. Required.

    The log warns of None, once: an environment variable that is not set may be the reason.
    """

    endpoint_url: str | None = None
    """The address of the pool's API. Default: Amazon's, for the Region of the pool.

    For emulators: `http://localhost:9229`. https, or http on this machine.
    """

    issuers: Issuers = "both"
    """Amazon's issuers that count: "both", "original" or "updated". Default: "both".

    Tokens name one of them, by the pool's `IssuerConfiguration`: ORIGINAL is
    `https://cognito-idp.REGION.amazonaws.com/ID`, UPDATED is
    `https://issuer-cognito-idp.REGION.amazonaws.com/ID`. With both, a pool may switch, and nobody
    is signed out.
    """

    regions: Sequence[str] | Mapping[str, str] = ()
    """The Regions of the pool's replicas, such as `["us-west-2"]`. Default: none.

    They are asked, in this order, while the pool's own Region is down, and their ORIGINAL issuers
    count too. A mapping gives their addresses, for emulators and VPC endpoints:
    `{"us-west-2": "http://127.0.0.1:9231"}`. With an `endpoint_url` it has to be one.
    """

    issuer: str | None = None
    """The `iss` of the pool's tokens, if it is not Amazon's. Default: those of `issuers`.

    With `endpoint_url` or `keys` it is only compared, and may be any http or https text; otherwise
    the key set is fetched from below it. One of Amazon's is named first in errors, and the others
    count all the same.
    """

    keys: Mapping[str, Any] | str | os.PathLike[str] | None = field(default=None, repr=False)
    """A key set (JWKS) to use instead of fetching one: a mapping, or the path of a JSON file.

    Default: None, the pool's own is fetched. For AWS Lambda's cold starts, and tests offline.
    """

    client_secret: str | Sequence[str] | None = field(default=None, repr=False)
    """The app client's secret, if it has one. Default: None. It needs a single `client_id`.

    A list of two while it is being changed; they are tried in order.
    """

    domain: str | None = None
    """The domain of the pool's hosted sign-in. Default: None.

    Such as `auth.example.com`, or `myapp.auth.eu-west-1.amazoncognito.com`. Needed by
    `AuthRoutes` and by `refresh_api="oauth"`.
    """

    refresh_api: RefreshApi = "GetTokensFromRefreshToken"
    """The way to refresh tokens. There is no fallback to another.

    `GetTokensFromRefreshToken` (the default) supports refresh token rotation. `InitiateAuth` is
    `REFRESH_TOKEN_AUTH`. `oauth` is the token endpoint at the `domain`.
    """

    allow_insecure_http: bool = False
    """True: allow plain http to other machines, such as `http://cognito:9229` in a compose file.

    Tokens and codes then cross the network unencrypted. For emulators only; refused for a site on
    https. Default: False.
    """


@named_options
@dataclass(frozen=True, kw_only=True)
class UserPool(PoolOptions):
    """One Amazon Cognito user pool, and its app clients whose tokens are accepted.

    >>> UserPool(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web").iss
    'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E'
    """

    user_pool_id: str = field()
    """The pool's id, such as `eu-west-1_Ab12Cd34E`. Its first part is the AWS Region. Required.

    Users are identified by it and their `sub`, not by the issuer their tokens name.
    """

    def __post_init__(self) -> None:
        _check_pool_id(self)
        insecure = check_flag("allow_insecure_http", self.allow_insecure_http)
        check_address("endpoint_url", self._endpoint, insecure=insecure)
        regions = check_regions(
            self.regions,
            self.user_pool_id,
            has_endpoint=self.endpoint_url is not None,
            insecure=insecure,
        )
        set_fields(self, regions=regions)
        _check_issuers(self)
        if self.endpoint_url is None and self.keys is None:  # the key set is below it
            check_address("issuer", self.iss, insecure=insecure)
        _check_issuer(self.iss)
        client_id = _check_client_id(self.client_id)
        domain = _check_domain(self.domain, insecure=insecure)
        secrets = _check_client_secret(self.client_secret, client_id)
        _check_refresh_api(self.refresh_api, domain)
        keys = check_keys(self.keys)
        set_fields(self, client_id=client_id, client_secret=secrets, keys=keys, domain=domain)

    @property
    def iss(self) -> str:
        """The exact issuer of the pool's tokens, as configured: the first that counts."""
        return self._amazons[0] if self.issuer is None else self.issuer

    @property
    def accepted_issuers(self) -> tuple[str, ...]:
        """All issuers that count, `iss` first."""
        return tuple(dict.fromkeys((self.iss, *(() if self._is_foreign else self._amazons))))

    @property
    def client_ids(self) -> frozenset[str] | None:
        """The app clients whose tokens are accepted; None: any."""
        return None if self.client_id is None else frozenset(self.client_id)

    @property
    def client_secrets(self) -> tuple[str, ...]:
        """The app client's secrets, in the order to try; none for a client without one."""
        return tuple(self.client_secret or ())

    @property
    def api_urls(self) -> tuple[str, ...]:
        """The addresses of the pool's API: of its own Region, then of its replicas'."""
        urls = (self._endpoint, *self._replicas.values())
        return tuple(dict.fromkeys(f"{url.rstrip('/')}/" for url in urls))

    @property
    def api_url(self) -> str:
        """The address of the pool's API in its own Region."""
        return f"{self._endpoint.rstrip('/')}/"

    @property
    def keys_url(self) -> str:
        """The address of the key set of `iss`."""
        return self.keys_urls_of(self.iss)[0]

    def keys_urls_of(self, issuer: str) -> tuple[str, ...]:
        """The addresses of the key set of one of the pool's issuers, in the order to try.

        The first is the issuer's own: it alone can say that there is no such key. The others are
        the pool's too, for the time that the first is down.
        """
        urls = (self._endpoint, *self._replicas.values())
        homes = [f"{url.rstrip('/')}/{self.user_pool_id}" for url in urls]
        own = dict(zip(self._originals, homes, strict=False)).get(issuer, homes[0])
        if self._asks_issuer:
            own, homes = issuer, []
        elif self.endpoint_url is None and self.issuers != "original":
            updated = updated_issuer(self.user_pool_id, self._region)
            own = issuer if issuer == updated else own
            homes.insert(1, updated)
        addresses = dict.fromkeys(home.rstrip("/") for home in (own, *homes))
        return tuple(f"{address}/.well-known/jwks.json" for address in addresses)

    @property
    def token_url(self) -> str | None:
        """The token endpoint (RFC 6749 3.2), at the domain; None without one."""
        return None if self.domain is None else f"{self.domain}/oauth2/token"

    @property
    def revoke_url(self) -> str | None:
        """The revocation endpoint (RFC 7009 2), at the domain; None without one."""
        return None if self.domain is None else f"{self.domain}/oauth2/revoke"

    @property
    def insecure_addresses(self) -> tuple[str, ...]:
        """The origins on other machines that are asked over plain http."""
        asked = [*self.api_urls, "" if self.keys else self.keys_url, self.domain or ""]
        parts = [urlsplit(url) for url in asked if is_insecure(url)]
        return tuple(dict.fromkeys(f"http://{part.netloc}" for part in parts))

    @property
    def _endpoint(self) -> str:
        if self.endpoint_url is not None:
            return self.endpoint_url
        return api_of(self._region)

    @property
    def _region(self) -> str:
        """The pool's own Region; empty for another form of id."""
        return region_of(self.user_pool_id) or ""

    @property
    def _replicas(self) -> dict[str, str]:
        """The replicas' addresses, by Region."""
        pairs = ((one, api_of(one)) if isinstance(one, str) else one for one in self.regions)
        return dict(pairs)

    @property
    def _originals(self) -> tuple[str, ...]:
        """The ORIGINAL issuers, of the pool's own Region and its replicas'."""
        regions = (self._region, *self._replicas) if self._region else ()
        return tuple(original_issuer(self.user_pool_id, region) for region in regions)

    @property
    def _amazons(self) -> tuple[str, ...]:
        """Amazon's issuers that count; none for another form of id."""
        originals = self._originals
        if not originals or self.issuers == "original":
            return originals
        updated = updated_issuer(self.user_pool_id, self._region)
        return (updated,) if self.issuers == "updated" else (originals[0], updated, *originals[1:])

    def _is_also(self, other: "UserPool") -> bool:
        """Whether another entry is certainly of the same pool: only the issuer differs."""
        if self._asks_issuer or other._asks_issuer or self.iss == other.iss:
            return False
        names = [one.name for one in fields(self) if one.name not in ("issuer", "issuers")]
        return all(getattr(self, name) == getattr(other, name) for name in names)

    @property
    def _asks_issuer(self) -> bool:
        """Whether the key set is at an issuer that is not Amazon's."""
        return self._is_foreign and self.endpoint_url is None

    @property
    def _is_foreign(self) -> bool:
        """Whether the issuer is not one of Amazon's for this pool."""
        return self.issuer is not None and self.issuer not in self._amazons


def check_pools(pools: object) -> tuple[UserPool, ...]:
    """Return the option `pools` as a tuple."""
    if not isinstance(pools, Sequence) or not all(isinstance(pool, UserPool) for pool in pools):
        raise ConfigurationError("pools: write a list of UserPool(...)")
    for index, pool in enumerate(pools):
        for other in pools[:index]:
            _check_apart(pool, other)
    return tuple(pools)


def _check_apart(pool: UserPool, other: UserPool) -> None:
    """Raise `ConfigurationError` if tokens or users of one could be taken for the other's."""
    shared = sorted({*pool.accepted_issuers} & {*other.accepted_issuers})
    if pool.user_pool_id != other.user_pool_id and shared:
        raise ConfigurationError(
            f"pools: the issuer {shared[0]!r} is that of two entries, {other.user_pool_id!r} and "
            f"{pool.user_pool_id!r}; correct the issuer= of one"
        )
    if pool.user_pool_id == other.user_pool_id and not pool._is_also(other):
        raise ConfigurationError(
            f"pools: {pool.user_pool_id!r} occurs twice, and users are known by this id and their "
            "sub; write it once, as one UserPool(client_id=[...]), with issuers= and regions= if "
            "it has them. One of the same id at another address is another pool: give it a "
            "middleware and a store of its own"
        )


def _check_pool_id(pool: UserPool) -> None:
    pool_id = pool.user_pool_id
    if region_of(pool_id) is None and (pool.issuer is None or pool.endpoint_url is None):
        raise ConfigurationError(
            f"user_pool_id: write the pool's id, such as 'eu-west-1_Ab12Cd34E'; got {pool_id!r} "
            "(other forms need both endpoint_url and issuer)"
        )


def _check_issuers(pool: UserPool) -> None:
    """Check the option `issuers`, beside `issuer`."""
    known = get_args(Issuers)
    if pool.issuers not in known:
        raise ConfigurationError(
            f"issuers: write one of {', '.join(map(repr, known))}; got {pool.issuers!r}. An issuer "
            "that is not Amazon's is written as issuer='https://...'"
        )
    if pool.issuers != "both" and pool._is_foreign:
        raise ConfigurationError(
            f"issuers: {pool.issuers!r} is for Amazon's own, and issuer={pool.issuer!r} is not "
            "among them; write one of the two options"
        )


def _check_issuer(issuer: object) -> None:
    if not isinstance(issuer, str) or not _ISSUER.fullmatch(issuer):
        raise ConfigurationError(
            "issuer: write the `iss` of the pool's tokens, which begins with https:// or http://; "
            f"got {issuer!r}"
        )


def _check_client_id(value: object) -> tuple[str, ...] | None:
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


def _check_client_secret(
    secret: object, client_id: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    """Return the secrets as a tuple."""
    if secret is None:
        return None
    secrets: tuple[Any, ...] = tuple(secret) if isinstance(secret, list | tuple) else (secret,)
    if not secrets or not all(map(_is_secret, secrets)):
        raise ConfigurationError(
            "client_secret: write the app client's secret as Cognito shows it, a list of two while "
            "it is being changed, or leave it out for a client without one"
        )
    if len(secrets) > _MAX_SECRETS or len(set(secrets)) < len(secrets):
        raise ConfigurationError(
            "client_secret: an app client has one secret, or two different ones while it is being "
            "changed; write client_secret=['new', 'old']"
        )
    if client_id is None or len(client_id) != 1:
        raise ConfigurationError(
            "client_secret: a secret belongs to one app client; write client_id='...' with that "
            "one alone"
        )
    return secrets


def _is_secret(secret: object) -> bool:
    is_text = isinstance(secret, str) and secret.isascii() and secret.isprintable()
    return is_text and bool(secret) and " " not in str(secret)


def _check_domain(domain: object, *, insecure: bool) -> str | None:
    """Return the origin of the hosted sign-in."""
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
