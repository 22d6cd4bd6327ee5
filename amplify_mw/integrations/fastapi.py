"""FastAPI: `AmplifyAuth(config)`, the user as a dependency, and as `/docs` shows it.

    auth = AmplifyAuth(config)
    app = FastAPI()
    auth.init_app(app)

    User = Annotated[AuthUser, Depends(auth.user)]

Rules:
- A dependency asks the request's visit, as `require_auth` and `user_or_none` do. It reads no header
  and no cookie, so it works for WebSockets too.
- A dependency is a security scheme of FastAPI's, so the document knows the operations with it.
  FastAPI has room for one scheme in it, the session's cookie. `describe` writes the others beside
  it, and the refusals.
- The document names only the credentials of the configuration. There is no secret in it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final, Generic, Literal, Never, TypeVar, Unpack, overload

from fastapi import FastAPI
from fastapi.openapi.models import APIKey
from fastapi.openapi.models import SecurityBase as SecurityBaseModel
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase

from ..asgi import AmplifyASGIMiddleware
from ..config.config import AmplifyConfig
from ..config.options import Options
from ..config.pool import UserPool
from ..errors import AuthError, ConfigurationError, kind_of
from ..models import AuthUser
from ..models.machine import Machine
from ..needs import Check, Needs, Value
from ..sessions.amplify.sessions import AmplifyCookies
from ..verbs.guards import needs_of, require_auth
from ..verbs.user import get_current_principal, get_current_user, user_or_none
from .starlette import handle_auth_errors

T = TypeVar("T")
Document = MutableMapping[str, Any]

SESSION: Final = "AmplifySession"
BEARER: Final = "AmplifyBearer"
HOSTED: Final = "AmplifyHostedSignIn"
_OPTIONAL: Final = "AmplifyOptional"  # is in no finished document
_PROBLEM: Final = "AmplifyProblem"


class Dependency(SecurityBase, Generic[T]):
    """A dependency of `AmplifyAuth`, for `Depends` and `Security`."""

    def __init__(self, cookie: str, ask: Callable[[], T], needs: Needs | None = None) -> None:
        self.model: SecurityBaseModel = APIKey.model_validate({"in": "cookie", "name": cookie})
        self.scheme_name = _OPTIONAL if needs is None else SESSION
        self._ask = ask
        self._needs = needs
        self._asking: dict[tuple[str, ...], Callable[[], T]] = {}

    async def __call__(self, scopes: SecurityScopes) -> T:
        """The user. `scopes`: those of `Security`, which the access token has to have."""
        asked = tuple(scopes.scopes)
        ask = self._asking.get(asked)
        if ask is None:
            ask = self._asking[asked] = self._guarded(asked)
        return ask()

    def _guarded(self, scopes: tuple[str, ...]) -> Callable[[], T]:
        needs = self._needs
        if needs is not None:
            return require_auth(_with_scopes(needs, scopes))(lambda: self._ask())
        if not scopes:
            return self._ask
        guarded = require_auth(scopes=scopes)(lambda: self._ask())

        def ask() -> T:
            found = self._ask()
            return found if found is None else guarded()

        return ask

    def __repr__(self) -> str:
        return f"<Dependency {self.scheme_name}>"


def _with_scopes(needs: Needs, scopes: tuple[str, ...]) -> Needs:
    return replace(needs, scopes={*(needs.scopes or ()), *scopes}) if scopes else needs


class AmplifyAuth:
    """The user of a FastAPI app: dependencies, the middleware, and the security schemes of `/docs`.

    `config`: an `AmplifyConfig`. `options`: any of its fields, changed for these apps.
    `scopes`: names of OAuth scopes with a text each, to choose from in `/docs`; those asked for
    by routes are there by themselves. `docs_client_id`: the app client of the Authorize button, one
    without a secret. Default: the first one of the pool with a `domain`, unless it has a secret.
    """

    user: Dependency[AuthUser]
    """The signed-in user. Else the answer is 401, or 503 if the user cannot be told now."""

    user_or_none: Dependency[AuthUser | None]
    """The signed-in user, or None for a visitor."""

    principal: Dependency[AuthUser | Machine]
    """The signed-in user, or the machine whose token came with the request."""

    def __init__(
        self,
        config: AmplifyConfig,
        *others: Never,
        scopes: Mapping[str, str] | None = None,
        docs_client_id: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        if others or not isinstance(config, AmplifyConfig):
            raise ConfigurationError(
                "AmplifyAuth: write auth = AmplifyAuth(config), with an AmplifyConfig, and "
                "auth.init_app(app): dependencies need it before there is an app; "
                f"got {', '.join(map(kind_of, (config, *others)))}"
            )
        config = config.replace(**options) if options else config
        self._config = config
        self._cookie = _cookie_of(config)
        self._scopes = dict(scopes or {})
        self._docs_client_id = _docs_client_of(config, docs_client_id)
        self._guards: dict[Needs, Dependency[Any]] = {}
        self.user = Dependency(self._cookie, get_current_user, Needs())
        self.user_or_none = Dependency(self._cookie, user_or_none)
        self.principal = Dependency(self._cookie, get_current_principal, Needs(machines=True))

    @overload
    def require(self, needs: Needs, /) -> Dependency[Any]: ...

    @overload
    def require(
        self,
        /,
        *,
        groups: Iterable[str] | None = None,
        scopes: Iterable[str] | None = None,
        machines: Literal[False] = False,
        fresh: float | None = None,
        acr: str | Iterable[str] | None = None,
        claims: Mapping[str, Value | Iterable[Value]] | None = None,
        check: Check | None = None,
    ) -> Dependency[AuthUser]: ...

    @overload
    def require(
        self,
        /,
        *,
        machines: Literal[True],
        scopes: Iterable[str] | None = None,
        claims: Mapping[str, Value | Iterable[Value]] | None = None,
        check: Check | None = None,
    ) -> Dependency[AuthUser | Machine]: ...

    def require(self, needs: Needs | None = None, /, **asked: Any) -> Dependency[Any]:
        """The user, if these needs are met; see `require_auth`. Else the answer is 403.

        The same needs give the same dependency: a test can override it by them.

            Editor = Annotated[AuthUser, Depends(auth.require(groups=["editors"]))]
        """
        needs = needs_of("require", asked) if needs is None else needs
        found = self._guards.get(needs)
        if found is None:
            ask = get_current_principal if needs.machines else get_current_user
            found = self._guards[needs] = Dependency(self._cookie, ask, needs)
        return found

    def init_app(self, app: FastAPI, *others: Never) -> None:
        """Add the middleware, answer `AuthError`s of every layer, and complete `/docs`.

        Call it after adding your other middlewares: then they know the user too. An
        `openapi` of your own on the app comes first.
        """
        if others or not isinstance(app, FastAPI):
            raise ConfigurationError(
                "init_app: write auth.init_app(app), with a FastAPI app; the configuration belongs "
                f"to AmplifyAuth(config); got {', '.join(map(kind_of, (app, *others)))}"
            )
        app.add_middleware(AmplifyASGIMiddleware, config=self._config)
        if AuthError not in app.exception_handlers:
            handle_auth_errors(app)
        if app.swagger_ui_init_oauth is None and self._docs_client_id is not None:
            app.swagger_ui_init_oauth = self._for_swagger(self._docs_client_id)
        generate = app.openapi
        described: object = None

        def openapi() -> dict[str, Any]:
            nonlocal described
            document = generate()
            if document is not described:  # FastAPI keeps it until there is another route
                self.describe(document)
                described = document
            return document

        app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it

    def describe(self, document: Document) -> None:
        """Complete an OpenAPI document of FastAPI's, as `init_app` does. Twice is as once."""
        components = document.get("components", {})
        schemes = components.get("securitySchemes", {})
        if not _OURS & schemes.keys():
            return
        for name in _OURS:
            schemes.pop(name, None)
        ours = self._schemes()
        asked: set[str] = set()
        has_roles = not document["openapi"].startswith("3.0")
        for operation in _operations(document):
            asked.update(_describe_operation(operation, ours, has_roles=has_roles))
        for scheme in ours.values():
            for flow in scheme.get("flows", {}).values():
                flow["scopes"] = {name: self._scopes.get(name, "") for name in sorted(asked)}
                flow["scopes"].update(self._scopes)
        schemes.update(ours)
        components.setdefault("schemas", {})[_PROBLEM] = deepcopy(_PROBLEM_SCHEMA)
        components.setdefault("responses", {}).update(deepcopy(_RESPONSES))

    def _schemes(self) -> dict[str, dict[str, Any]]:
        """The credentials, by their names in the document."""
        login, bearer = self._config.login_url, self._config.bearer
        session = "The session's cookie, which browsers send by themselves."
        session += f" Sign in at {login}" if login else ""
        found: dict[str, dict[str, Any]] = {
            SESSION: {
                "type": "apiKey",
                "in": "cookie",
                "name": self._cookie,
                "description": session,
            }
        }
        if bearer:
            text = "An access token of the user pool."
            found[BEARER] = {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": text,
            }
        pools = [pool for pool in self._config.user_pools if pool.domain is not None and bearer]
        for pool in pools:
            name = HOSTED if pool is pools[0] else f"{HOSTED}.{pool.user_pool_id}"
            found[name] = _hosted(pool)
        return found

    def _for_swagger(self, client_id: str) -> dict[str, Any]:
        """Settings of Swagger UI for its Authorize button."""
        settings: dict[str, Any] = {
            "clientId": client_id,
            "usePkceWithAuthorizationCodeGrant": True,
        }
        if self._config.audience:  # tokens have to name this API
            settings["additionalQueryStringParams"] = {"resource": self._config.audience[0]}
        return settings


# The document.


def _hosted(pool: UserPool) -> dict[str, Any]:
    flow = {
        "authorizationUrl": f"{pool.domain}/oauth2/authorize",
        "tokenUrl": f"{pool.domain}/oauth2/token",
    }
    return {
        "type": "oauth2",
        "description": "Sign in at the user pool, for an access token.",
        "flows": {"authorizationCode": flow},
    }


def _operations(document: Document) -> Iterator[Document]:
    """The operations with one of our dependencies."""
    for item in document.get("paths", {}).values():
        for operation in item.values():
            security = operation.get("security", ()) if isinstance(operation, dict) else ()
            if any(_OURS & entry.keys() for entry in security):
                yield operation


def _describe_operation(
    operation: Document, schemes: Iterable[str], *, has_roles: bool
) -> list[str]:
    """Complete one operation; returns the scopes it asks for."""
    security: list[dict[str, list[str]]] = operation["security"]
    asked = [name for entry in security for ours in _OURS for name in entry.get(ours, ())]
    scopes = list(dict.fromkeys(asked))
    is_optional = {} in security or not any(SESSION in entry for entry in security)
    operation["security"] = [
        # Before OpenAPI 3.1, only OAuth has scopes.
        *({name: scopes if has_roles or name.startswith(HOSTED) else []} for name in schemes),
        *(entry for entry in security if entry and not any(map(_is_ours, entry))),
    ]
    if is_optional:
        operation["security"].append({})
    for status in _refusals(is_optional=is_optional, has_scopes=bool(scopes)):
        answer = {"$ref": f"#/components/responses/{_ANSWERS[status]}"}
        operation["responses"].setdefault(status, answer)
    return scopes


def _refusals(*, is_optional: bool, has_scopes: bool) -> list[str]:
    """The statuses of an operation's refusals. A visitor may pass where the user is optional."""
    if not is_optional:
        return list(_ANSWERS)
    return ["403", "503"] if has_scopes else ["503"]


def _is_ours(scheme: str) -> bool:
    return scheme.startswith(_NAMES)


def _response(description: str, **headers: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{_PROBLEM}"}
    return {
        "description": description,
        "headers": {
            name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        },
        "content": {"application/problem+json": {"schema": schema}},
    }


_OURS: Final = frozenset({SESSION, _OPTIONAL})
_NAMES: Final = (SESSION, BEARER, HOSTED, _OPTIONAL)
_ANSWERS: Final = {"401": "AmplifyRefused", "403": "AmplifyForbidden", "503": "AmplifyUnavailable"}
_RESPONSES: Final = {
    "AmplifyRefused": _response(
        "Nobody is signed in, or the credential is not valid",
        WWW_Authenticate="The accepted credentials (RFC 9110 11.6.1)",
    ),
    "AmplifyForbidden": _response("Not permitted for this user"),
    "AmplifyUnavailable": _response(
        "The credential cannot be checked now, and is kept",
        Retry_After="Seconds after which a retry may succeed",
    ),
}
_PROBLEM_SCHEMA: Final = {
    "title": _PROBLEM,
    "description": "A problem document (RFC 9457)",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


# The configuration.


def _cookie_of(config: AmplifyConfig) -> str:
    """The name of a session's cookie."""
    if isinstance(config.kind, AmplifyCookies):
        client = next(iter(config.clients or ()), "CLIENT_ID")
        return f"CognitoIdentityServiceProvider.{client}.LastAuthUser"
    return config.cookie.name


def _docs_client_of(config: AmplifyConfig, given: str | None) -> str | None:
    """The app client of the Authorize button; None if there is none."""
    pools = [pool for pool in config.user_pools if pool.domain is not None and config.bearer]
    if given is None:
        pool = next((pool for pool in pools if not pool.client_secrets), None)
        return None if pool is None else next(iter(pool.client_id or ()), None)
    if not pools:
        raise ConfigurationError(
            "docs_client_id: signing in at /docs needs bearer=True and the domain= of the user "
            "pool in the AmplifyConfig"
        )
    if any(given in (pool.client_id or ()) and pool.client_secrets for pool in pools):
        raise ConfigurationError(
            f"docs_client_id: the app client {given!r} has a secret, which no page can keep; name "
            "one without, in client_id=[...] too"
        )
    if config.clients is not None and given not in config.clients:
        raise ConfigurationError(
            f"docs_client_id: tokens of {given!r} would be refused; add it to client_id=[...]"
        )
    return given
