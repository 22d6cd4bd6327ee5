"""`Options`: the options of `AmplifyConfig` as keyword arguments, for type checkers and editors.

    def configured(**options: Unpack[Options]) -> AmplifyConfig:
        return AmplifyConfig.from_env(**options, protect=["/account/*"])

Rule: it has the fields of `AmplifyConfig`, with their types; a test compares them.
"""

# Annotations stay unevaluated: they are for readers of the source.
from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from ..sessions.base import SessionKind
from ..web.cookie_policy import CookiePolicy
from .pool import Issuers, RefreshApi, UserPool
from .routes import AuthRoutes

if TYPE_CHECKING:
    from ..events import Event
    from ..needs import Needs
    from ..telemetry import Telemetry
    from ..web.pages import PageContext
else:
    Needs = Telemetry = object
    Event = PageContext = tuple


class Options(TypedDict, total=False):
    """Any of the options of `AmplifyConfig`, which says what each is."""

    user_pool_id: str | None
    client_id: str | Sequence[str] | None
    endpoint_url: str | None
    issuers: Issuers
    regions: Sequence[str] | Mapping[str, str]
    issuer: str | None
    keys: Mapping[str, Any] | str | os.PathLike[str] | None
    client_secret: str | Sequence[str] | None
    domain: str | None
    refresh_api: RefreshApi
    allow_insecure_http: bool
    pools: Sequence[UserPool]
    cookie: CookiePolicy
    session: SessionKind | Sequence[SessionKind]
    leeway: float
    protect: Sequence[str] | Mapping[str, Needs]
    public: Sequence[str]
    ignore: Sequence[str]
    mount: str | Sequence[str]
    login_url: str | None
    routes: AuthRoutes | None
    pages: Mapping[Literal[401, 403, 503, "sign_in_failed"], str | Callable[[PageContext], str]]
    bearer: bool
    handover_keys: Sequence[str | bytes]
    audience: str | Sequence[str]
    resource_metadata: Mapping[str, str | Sequence[str]] | None
    csrf: Literal["origin"] | None
    csrf_exempt: Sequence[str]
    origins: Sequence[str]
    preflight: Literal["answer", "app"]
    cache_control: Literal["no-store", "private"] | None
    attributes_ttl: float
    http_timeout: float
    proxy: str | None
    on_event: Callable[[Event], object] | Sequence[Callable[[Event], object]] | None
    client_address: str | None
    trusted_proxies: int
    telemetry: Telemetry | None
    debug_headers: bool
    cache_entries: int
    cache_bytes: int
