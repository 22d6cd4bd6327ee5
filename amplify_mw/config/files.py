"""Configuration from files and the environment.

    from_outputs   `amplify_outputs.json` (Gen 2) or `amplifyconfiguration.json` (Gen 1)
    from_env       the variables in `VARIABLES`
    read_keys      a preloaded key set

Rules:
- An unreadable file, or one without a needed key, is a `ConfigurationError` with the key's name.
- Explicit options override a file, and the environment is read by `from_env` only.
- The section of a local user pool, which `amplify-mw pool` writes, may name addresses of this
  machine alone. Nothing else in a file changes the endpoint or the issuer.
"""

import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..web.origins import is_loopback
from .checks import KeyText
from .routes import AuthRoutes

if TYPE_CHECKING:
    from pathlib import Path


class Variable(NamedTuple):
    """An environment variable's meaning."""

    option: str
    """The option it sets; or `from_outputs`, for the source of that."""

    meaning: str
    """Its value, in a few words."""


VARIABLES: Final = {
    "AMPLIFY_OUTPUTS": Variable(
        "from_outputs", "the path of amplify_outputs.json; stands for the two ids below"
    ),
    "AMPLIFY_USER_POOL_ID": Variable("user_pool_id", "the user pool's id"),
    "AMPLIFY_CLIENT_ID": Variable(
        "client_id", "the app client's id; several are separated by commas"
    ),
    "AMPLIFY_CLIENT_SECRET": Variable(
        "client_secret", "the app client's secret, if it has one; two are separated by a comma"
    ),
    "AMPLIFY_DOMAIN": Variable("domain", "the domain of the pool's hosted sign-in"),
    "AMPLIFY_REFRESH_API": Variable(
        "refresh_api", "how tokens are refreshed: GetTokensFromRefreshToken, InitiateAuth or oauth"
    ),
    "AMPLIFY_ENDPOINT_URL": Variable("endpoint_url", "where the pool's API is, if not at Amazon"),
    "AMPLIFY_ISSUERS": Variable(
        "issuers", "Amazon's issuers that count: both, original or updated"
    ),
    "AMPLIFY_REGIONS": Variable(
        "regions",
        "the Regions of the pool's replicas, separated by commas; us-west-2=https://... for one "
        "at another address than Amazon's",
    ),
    "AMPLIFY_ISSUER": Variable("issuer", "the issuer of its tokens, if not Amazon's"),
    "AMPLIFY_ALLOW_INSECURE_HTTP": Variable(
        "allow_insecure_http", "true: an emulator may be asked over plain http; see UserPool"
    ),
    "AMPLIFY_KEYS": Variable("keys", "the path of a key set (JWKS) to use instead of fetching one"),
    "AMPLIFY_PROXY": Variable(
        "proxy", "the HTTP proxy that Cognito is asked through; environment: that of HTTPS_PROXY"
    ),
    "AMPLIFY_LOGIN_URL": Variable("login_url", "where a browser is sent to sign in"),
}
"""The environment variables that `AmplifyConfig.from_env()` reads."""

LOCAL_SECTION: Final = "amplify_mw"
"""The name of a local user pool's section, below `custom`."""

_LOCAL_ADDRESSES: Final = ("endpoint_url", "issuer", "domain")

Source = str | os.PathLike[str] | Mapping[str, Any]
T = TypeVar("T")


def from_outputs(make: Callable[..., T], source: Source, options: Mapping[str, Any]) -> T:
    """See `AmplifyConfig.from_outputs`, which `make` is."""
    if not isinstance(source, Mapping | str | os.PathLike):
        raise ConfigurationError(
            "from_outputs: write the path of amplify_outputs.json, or its content as a mapping; "
            f"got {source!r}"
        )
    document = source if isinstance(source, Mapping) else _read_json(source, "from_outputs")
    is_gen1 = any(str(key).startswith("aws_") for key in document)
    found = _gen1(document) if is_gen1 else _gen2(document)
    settings: dict[str, Any] = {"user_pool_id": found.user_pool_id, "client_id": found.client_id}
    settings |= {"domain": found.domain, **found.local, **options}
    routes = options.get("routes")
    if isinstance(routes, AuthRoutes):
        settings["routes"] = routes.completed(
            scopes=found.scopes,
            redirect_sign_in=found.redirect_sign_in,
            redirect_sign_out=found.redirect_sign_out,
        )
    return make(**settings)


class Outputs(NamedTuple):
    """The auth settings in a file of Amplify's. The last four are of its `oauth` block."""

    user_pool_id: str
    client_id: str
    domain: str | None = None
    scopes: tuple[str, ...] | None = None
    redirect_sign_in: tuple[str, ...] | None = None
    redirect_sign_out: tuple[str, ...] | None = None
    local: Mapping[str, Any] = {}


def _gen2(document: Mapping[str, Any]) -> Outputs:
    if not str(document.get("version", "")).startswith("1"):
        raise ConfigurationError(
            "from_outputs: this is neither amplify_outputs.json (version 1) nor a Gen 1 "
            "amplifyconfiguration.json (aws_user_pools_id ...)"
        )
    auth = document.get("auth")
    if not isinstance(auth, Mapping):
        raise ConfigurationError("from_outputs: the file has no 'auth' section; deploy auth first")
    pool_id, client_id = _text(auth, "user_pool_id"), _text(auth, "user_pool_client_id")
    oauth, local = auth.get("oauth"), _local(document)
    if local:  # it redirects to any address, so those in `oauth` are only for Amplify's pages
        return Outputs(pool_id, client_id, local=local)
    if not isinstance(oauth, Mapping):
        return Outputs(pool_id, client_id)
    return Outputs(
        pool_id,
        client_id,
        oauth.get("domain") or None,
        _list(oauth, "scopes"),
        _list(oauth, "redirect_sign_in_uri"),
        _list(oauth, "redirect_sign_out_uri"),
    )


def _local(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The addresses of a local user pool; none in a file of Amazon's."""
    custom = document.get("custom")
    section = custom.get(LOCAL_SECTION) if isinstance(custom, Mapping) else None
    if not isinstance(section, Mapping):
        return {}
    found = {name: section.get(name) for name in _LOCAL_ADDRESSES}
    if "issuer" not in section:  # its tokens name Amazon's, which are only compared
        del found["issuer"]
    regions = section.get("regions", {})
    replicas = regions if isinstance(regions, Mapping) else {"": regions}
    addresses = {**found, **{f"regions.{name}": url for name, url in replicas.items()}}
    for name, address in addresses.items():
        if not _is_local(address):
            raise ConfigurationError(
                f"from_outputs: custom.{LOCAL_SECTION}.{name} is {address!r}; the section is for a "
                "local user pool, at http://127.0.0.1 or http://localhost (start `amplify-mw pool` "
                "again to write it anew)"
            )
    return {**found, **({"regions": dict(replicas)} if replicas else {})}


def _is_local(address: object) -> bool:
    try:
        parts = urlsplit(address if isinstance(address, str) else "")
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and is_loopback(parts.hostname or "")


def _gen1(document: Mapping[str, Any]) -> Outputs:
    pool_id = _text(document, "aws_user_pools_id")
    client_id = _text(document, "aws_user_pools_web_client_id")
    oauth = document.get("oauth")
    if not isinstance(oauth, Mapping):
        return Outputs(pool_id, client_id)
    return Outputs(
        pool_id,
        client_id,
        oauth.get("domain") or None,
        _list(oauth, "scope"),
        _list(oauth, "redirectSignIn"),
        _list(oauth, "redirectSignOut"),
    )


def _list(document: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    """The strings under a key; in Gen 1 they may be one text with commas."""
    value = document.get(key)
    is_text = isinstance(value, str)
    parts = [part.strip() for part in str(value).split(",")] if is_text else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        return None
    return tuple(part for part in parts if part) or None


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"from_outputs: the file has no {key!r}")
    return value


def from_env(
    make: Callable[..., T], environ: Mapping[str, str] | None, options: Mapping[str, Any]
) -> T:
    """See `AmplifyConfig.from_env`, which `make` is."""
    values = os.environ if environ is None else environ
    found = {
        variable.option: values[name] for name, variable in VARIABLES.items() if values.get(name)
    }
    try:
        return _of_settings(make, found, options)
    except ConfigurationError as error:
        field, colon, mend = str(error).partition(":")
        for name, variable in VARIABLES.items():
            if variable.option == field and field in found and field not in options:
                raise ConfigurationError(f"from_env: {name}{colon}{mend}") from error
        raise


def _of_settings(make: Callable[..., T], found: Mapping[str, str], options: Mapping[str, Any]) -> T:
    settings: dict[str, Any] = dict(found)
    for name in ("client_id", "client_secret", "regions"):
        if name in settings:
            settings[name] = [part.strip() for part in settings[name].split(",")]
    if "=" in found.get("regions", ""):
        settings["regions"] = _addresses(settings["regions"])
    if "allow_insecure_http" in settings:
        settings["allow_insecure_http"] = _flag(settings["allow_insecure_http"])
    outputs = settings.pop("from_outputs", None)
    if outputs is not None:
        if {"user_pool_id", "client_id"} & settings.keys():
            raise ConfigurationError(
                "from_env: AMPLIFY_OUTPUTS names the pool and client already; unset "
                "AMPLIFY_USER_POOL_ID and AMPLIFY_CLIENT_ID, or AMPLIFY_OUTPUTS"
            )
        return from_outputs(make, outputs, {**settings, **options})
    merged = {**settings, **options}
    for name in ("AMPLIFY_USER_POOL_ID", "AMPLIFY_CLIENT_ID"):
        option, meaning = VARIABLES[name]
        if option not in merged and "pools" not in merged:
            raise ConfigurationError(
                f"from_env: set {name} ({meaning}); or set AMPLIFY_OUTPUTS (the path of "
                "amplify_outputs.json) in place of both ids"
            )
    return make(**merged)


def _addresses(parts: list[str]) -> dict[str, str]:
    """The addresses of Regions, by name: from texts such as `us-west-2=http://127.0.0.1:9231`."""
    pairs = [part.partition("=")[::2] for part in parts]
    if len(dict(pairs)) < len(pairs) or not all(url for _, url in pairs):
        raise ConfigurationError(
            "regions: write each Region once, and all with an address or none; got "
            f"{', '.join(parts)!r}"
        )
    return dict(pairs)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ConfigurationError(f"allow_insecure_http: write true or false; got {text!r}")
    return text.lower() == "true"


def read_keys(keys: Source) -> str:
    """The JSON text of a preloaded key set, as a `UserPool` keeps it: text, or a file's path."""
    if isinstance(keys, KeyText):
        return keys
    return json.dumps(_read_json(cast("str | os.PathLike[str]", keys), "keys"))


def _read_json(file: str | os.PathLike[str], name: str) -> Mapping[str, Any]:
    from pathlib import Path  # 3 ms, for files alone

    path = Path(file)
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        mend = _mend_missing(path, name) if isinstance(error, FileNotFoundError) else ""
        raise ConfigurationError(
            f"{name}: {path} cannot be read ({error.strerror}){mend}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name}: {path} is not JSON") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{name}: {path} holds no JSON object")
    return document


def _mend_missing(path: "Path", name: str) -> str:
    """The folder that was searched, and the ways to get a file there."""
    folder = path.absolute().parent
    mend = f"; the folder searched is {folder}"
    if not folder.is_dir():
        mend += ", which does not exist"
    if not path.is_absolute():
        mend += f": write the whole path, such as Path(__file__).parent / {str(path)!r}"
    if name == "from_outputs":
        mend += (
            "; `npx ampx generate outputs` writes the file, and `amplify-mw pool` one without AWS"
        )
    return mend
