"""`UserPool`: one Cognito user pool, and the addresses of its services.

Rules:
- `client_id=None` accepts any app client; leaving it out is an error.
- Addresses come from the configuration alone, never from a token.
- Fields hold the user's options, in one form each: a list becomes a tuple, a mapping of keys
  becomes JSON text. Everything that follows from them is a property.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

RefreshApi = Literal["GetTokensFromRefreshToken", "InitiateAuth", "oauth"]

_POOL_ID: Final = re.compile(r"([a-z]{2,4}(?:-[a-z]+)+-[0-9])_[0-9A-Za-z]+")
_ISSUER: Final = re.compile(r"https?://[!-~]{1,1000}")
_PARTITIONS: Final = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}


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

    issuer: str | None = None
    """The `iss` of the pool's tokens. Default: Amazon's two, ORIGINAL and UPDATED.

    (Both count, so that the pool's `IssuerConfiguration` may change.) With `endpoint_url` or `keys`
    it is only compared, and may be any http or https text; otherwise the key set is fetched from
    below it.
    """

    keys: Mapping[str, Any] | str | os.PathLike[str] | None = field(default=None, repr=False)
    """A key set (JWKS) to use instead of fetching one: a mapping, or the path of a JSON file.

    Default: None, the pool's own is fetched. For AWS Lambda's cold starts, and tests offline.
    """

    client_secret: str | None = field(default=None, repr=False)
    """The app client's secret, if it has one. Default: None. It needs a single `client_id`."""

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
        if self.endpoint_url is None and self.keys is None:  # the key set is below it
            check_address("issuer", self.iss, insecure=insecure)
        _check_issuer(self.iss)
        client_id = _check_client_id(self.client_id)
        domain = _check_domain(self.domain, insecure=insecure)
        _check_client_secret(self.client_secret, client_id)
        _check_refresh_api(self.refresh_api, domain)
        set_fields(self, client_id=client_id, keys=check_keys(self.keys), domain=domain)

    @property
    def iss(self) -> str:
        """The exact issuer of the pool's tokens, as configured."""
        return _amazon_issuers(self.user_pool_id)[0] if self.issuer is None else self.issuer

    @property
    def issuers(self) -> tuple[str, ...]:
        """All issuers that count, `iss` first. Amazon's two belong together."""
        amazon = _amazon_issuers(self.user_pool_id)
        return tuple(dict.fromkeys((self.iss, *(amazon if self.iss in amazon else ()))))

    @property
    def client_ids(self) -> frozenset[str] | None:
        """The app clients whose tokens are accepted; None: any."""
        return None if self.client_id is None else frozenset(self.client_id)

    @property
    def api_url(self) -> str:
        """The address of the pool's API."""
        return f"{self._endpoint.rstrip('/')}/"

    @property
    def keys_url(self) -> str:
        """The address of the key set of `iss`."""
        return self.keys_url_of(self.iss)

    def keys_url_of(self, issuer: str) -> str:
        """The address of the key set of one of the pool's issuers."""
        own = f"{self.api_url}{self.user_pool_id}"  # an emulator has one key set
        home = issuer if self.endpoint_url is None else own
        return f"{home.rstrip('/')}/.well-known/jwks.json"

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
        asked = [self.api_url, "" if self.keys else self.keys_url, self.domain or ""]
        parts = [urlsplit(url) for url in asked if is_insecure(url)]
        return tuple(dict.fromkeys(f"http://{part.netloc}" for part in parts))

    @property
    def _endpoint(self) -> str:
        if self.endpoint_url is not None:
            return self.endpoint_url
        return f"https://cognito-idp.{_region_host(self.user_pool_id)}"


def check_pools(pools: object) -> tuple[UserPool, ...]:
    """Return the option `pools` as a tuple."""
    if not isinstance(pools, Sequence) or not all(isinstance(pool, UserPool) for pool in pools):
        raise ConfigurationError("pools: write a list of UserPool(...)")
    if len({pool.iss for pool in pools}) != len(pools):
        raise ConfigurationError(
            "pools: one issuer occurs twice; write its client ids as one UserPool(client_id=[...])"
        )
    return tuple(pools)


def _check_pool_id(pool: UserPool) -> None:
    pool_id = pool.user_pool_id
    is_amazons = isinstance(pool_id, str) and _POOL_ID.fullmatch(pool_id) is not None
    if not is_amazons and (pool.issuer is None or pool.endpoint_url is None):
        raise ConfigurationError(
            f"user_pool_id: write the pool's id, such as 'eu-west-1_Ab12Cd34E'; got {pool_id!r} "
            "(other forms need both endpoint_url and issuer)"
        )


def _region_host(pool_id: str) -> str:
    """The end of Amazon's host names in the pool's Region."""
    region = pool_id.partition("_")[0]
    return f"{region}.{_PARTITIONS.get(region.partition('-')[0], 'amazonaws.com')}"


def _amazon_issuers(pool_id: str) -> tuple[str, ...]:
    """Amazon's issuers, ORIGINAL and UPDATED; none for another form of id."""
    if not _POOL_ID.fullmatch(pool_id):
        return ()
    host = _region_host(pool_id)
    return tuple(f"https://{name}.{host}/{pool_id}" for name in ("cognito-idp", _UPDATED))


_UPDATED: Final = "issuer-cognito-idp"


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
