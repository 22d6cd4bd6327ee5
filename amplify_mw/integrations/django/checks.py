"""System checks: `manage.py check --tag amplify_mw`.

    E001  AMPLIFY_MW is wrong
    E002  UserMiddleware comes too early: Django's session would overwrite its user
    E003  the user is asked for before UserMiddleware
    E004  the admin without rows
    E005  the rows without what they need
    E006  the mapping names groups of Django's, and there are none
    W001  no middleware of ours in MIDDLEWARE
    W002  the application is not wrapped
    W003  the application cannot be looked at
    W004  CognitoBackend is not in AUTHENTICATION_BACKENDS
    W005  LOGIN_URL does not lead to the sign-in page
    W006  nothing checks where forms come from (CSRF)
    W007  a group that the database does not have (`check --database default`)
    W008  a permission that the database does not have (likewise)

Beside these, what `amplify-mw doctor` says of the applications' configurations, such as
`amplify_mw.cookie_prefix`: of the settings always, of the pool and the store with `check --deploy`.
Wrong is an error, unknown is an info. A pool or a store that is not reached is a warning.

Rules:
- Each says what to write.
- Applications are imported from their settings' paths, as a server imports them.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, Final
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db import connections
from django.db.utils import DatabaseError
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, resolve
from django.utils.module_loading import import_string

from ...config.config import AmplifyConfig
from ...errors import ConfigurationError
from ...models.check import Check
from ...shell.inside import things_in
from ...shell.shell import Shell
from .middleware import AuthErrorMiddleware, UserMiddleware
from .settings import BACKEND, ROWS, USER_MIDDLEWARE, parse, rules
from .views import sign_in

TAG: Final = "amplify_mw"
_KINDS: Final = {"wrong": checks.Error, "warning": checks.Warning, "unknown": checks.Info}
_REACHING: Final = ("pool_reachable", "store", "store_sentinels")
_SESSIONS: Final = "django.contrib.auth.middleware.AuthenticationMiddleware"
_CSRF: Final = "django.middleware.csrf.CsrfViewMiddleware"
_LOGIN_REQUIRED: Final = "django.contrib.auth.middleware.LoginRequiredMiddleware"
_WRAP: Final = {
    "WSGI_APPLICATION": "AmplifyWSGIMiddleware(get_wsgi_application(), config)",
    "ASGI_APPLICATION": "AmplifyASGIMiddleware(get_asgi_application(), config)",
}


def register() -> None:
    """Let Django run these checks."""
    for check in (_setting, _middlewares, _backends, _rows, _applications, _configured):
        checks.register(check, TAG)
    checks.register(_answering, TAG, deploy=True)
    checks.register(_names, TAG, checks.Tags.database)


def _setting(app_configs: Any, **_: Any) -> list[Any]:  # noqa: ARG001
    try:
        found = parse(getattr(settings, "AMPLIFY_MW", None))
    except ConfigurationError as error:
        return [checks.Error(str(error), id=f"{TAG}.E001")]
    if apps.is_installed("django.contrib.auth"):
        return []
    return [
        checks.Error(
            f"AMPLIFY_MW['groups'][{name!r}]['groups'] names groups of Django's, which need "
            "django.contrib.auth.",
            hint="Write 'django.contrib.auth' in INSTALLED_APPS, or permissions in their place.",
            id=f"{TAG}.E006",
        )
        for name, granted in found.groups.items()
        if granted.groups
    ]


def _middlewares(app_configs: Any, **_: Any) -> list[Any]:  # noqa: ARG001
    kinds = list(_middleware_kinds())
    ours = _first(kinds, UserMiddleware)
    if ours is None:
        if _first(kinds, AuthErrorMiddleware) is not None:
            return []
        return [
            checks.Warning(
                "MIDDLEWARE has nothing of amplify_mw: request.user knows nobody, and an AuthError "
                "in a view is a 500.",
                hint=f"Add {USER_MIDDLEWARE!r} after Django's AuthenticationMiddleware.",
                id=f"{TAG}.W001",
            )
        ]
    found = []
    sessions, required = _position(kinds, _SESSIONS), _position(kinds, _LOGIN_REQUIRED)
    if sessions is not None and sessions > ours:
        found.append(
            checks.Error(
                "UserMiddleware comes before AuthenticationMiddleware, which replaces its user "
                "with that of Django's session.",
                hint=f"Move {USER_MIDDLEWARE!r} below {_SESSIONS!r} in MIDDLEWARE.",
                id=f"{TAG}.E002",
            )
        )
    if required is not None and required < ours:
        found.append(
            checks.Error(
                "LoginRequiredMiddleware comes before UserMiddleware, and knows no user.",
                hint=f"Move {USER_MIDDLEWARE!r} above {_LOGIN_REQUIRED!r} in MIDDLEWARE.",
                id=f"{TAG}.E003",
            )
        )
    return found


def _backends(app_configs: Any, **_: Any) -> list[Any]:  # noqa: ARG001
    if not apps.is_installed("django.contrib.auth") or BACKEND in settings.AUTHENTICATION_BACKENDS:
        return []
    return [
        checks.Warning(
            "AUTHENTICATION_BACKENDS does not have CognitoBackend: methods of the user model that "
            "ask self.has_perm() do not know the rights of the token.",
            hint=f"Write AUTHENTICATION_BACKENDS = [{BACKEND!r}]. Keep Django's ModelBackend "
            "beside it only if local users sign in with a password, too.",
            id=f"{TAG}.W004",
        )
    ]


def _rows(app_configs: Any, **_: Any) -> list[Any]:  # noqa: ARG001
    found = []
    has_auth, has_rows = apps.is_installed("django.contrib.auth"), apps.is_installed(ROWS)
    if apps.is_installed("django.contrib.admin") and not has_rows and _has_staff():
        found.append(
            checks.Error(
                "The admin writes down who has changed what, and needs a row for each user.",
                hint=f"Write {ROWS!r} in INSTALLED_APPS (it replaces "
                "'amplify_mw.integrations.django'), and run manage.py migrate.",
                id=f"{TAG}.E004",
            )
        )
    if has_rows and not has_auth:
        found.append(
            checks.Error(
                "Rows for users need django.contrib.auth.",
                hint="Write 'django.contrib.auth' and 'django.contrib.contenttypes' in "
                "INSTALLED_APPS, or 'amplify_mw.integrations.django' in place of "
                f"{ROWS!r}: it needs no database.",
                id=f"{TAG}.E005",
            )
        )
    return found


def _has_staff() -> bool:
    """Whether the pool's users may enter the admin."""
    try:
        granted = rules().groups.values()
    except ConfigurationError:  # it has its own check
        return False
    return any(each.is_staff or each.is_superuser for each in granted)


def _applications(app_configs: Any, **_: Any) -> list[Any]:  # noqa: ARG001
    found: list[Any] = []
    for name in _WRAP:
        path = getattr(settings, name, None)
        if path:
            found += _application(name, path)
    return found


def _application(name: str, path: str) -> Iterator[Any]:
    try:
        application = import_string(path)
    except Exception as error:  # noqa: BLE001  # it is the project's own code
        yield checks.Warning(
            f"{name}: {path!r} cannot be imported: {type(error).__name__}: {error}",
            hint="Correct it, or the setting. Until then nobody knows if it is wrapped.",
            id=f"{TAG}.W003",
        )
        return
    config = _config_in(application)
    if config is None:
        yield checks.Warning(
            f"{name}: {path!r} is not wrapped: reading request.user raises OutsideRequestError.",
            hint=f"Write application = {_WRAP[name]} there.",
            id=f"{TAG}.W002",
        )
        return
    yield from _login_url(config)
    if config.csrf is None and _position(list(_middleware_kinds()), _CSRF) is None:
        yield checks.Warning(
            f"{name}: csrf=None leaves forged forms to Django, and MIDDLEWARE has no "
            "CsrfViewMiddleware.",
            hint=f"Leave out csrf=None, or add {_CSRF!r}.",
            id=f"{TAG}.W006",
        )


def _config_in(application: object) -> AmplifyConfig | None:
    """The configuration of the middleware around an application; None without one."""
    shell = next((each for each, _ in things_in(application) if isinstance(each, Shell)), None)
    return None if shell is None else shell.engine.authenticator.config


def _configurations() -> list[AmplifyConfig]:
    """Those of the applications, each once."""
    found: list[AmplifyConfig] = []
    for name in _WRAP:
        path = getattr(settings, name, None)
        with suppress(Exception):  # `_application` says why
            config = _config_in(import_string(path)) if path else None
            if config is not None and config not in found:
                found.append(config)
    return found


def _configured(app_configs: Any, **_: Any) -> list[Any]:  # noqa: ARG001
    """What there is to say of the configurations without asking anybody."""
    from ...diagnostics.examination.examination import examine  # a server never loads it

    found = [examine(config, network=False).checks for config in _configurations()]
    return [_told(each) for each in dict.fromkeys(chain(*found)) if each.outcome != "ok"]


def _answering(app_configs: Any, **_: Any) -> list[Any]:  # noqa: ARG001
    """What the pool and the store say."""
    from ...diagnostics.examination.examination import remote_checks

    found = [_softened(remote_checks(config)) for config in _configurations()]
    return [_told(each) for each in dict.fromkeys(chain(*found)) if each.outcome != "ok"]


def _softened(lines: list[Check]) -> list[Check]:
    """The lines; no error by itself is that somebody was not reached: CI may have no network."""
    ways = {each.outcome for each in lines if each.name == "pool_reachable"}
    is_apart = bool(ways) and "ok" not in ways
    return [
        each._replace(outcome="warning")
        if each.outcome == "wrong" and (is_apart or each.name in _REACHING)
        else each
        for each in lines
    ]


def _told(check: Check) -> Any:
    """A line of `amplify-mw doctor` as Django says it."""
    from ...diagnostics.report import printable

    wanted = f" (wanted: {printable(check.wanted)})" if check.wanted else ""
    hint = printable(check.mend) or None
    text = f"{printable(check.found)}{wanted}."
    return _KINDS[check.outcome](text, hint=hint, id=f"{TAG}.{check.name}")


def _login_url(config: AmplifyConfig) -> Iterator[Any]:
    if config.login_url is None or not apps.is_installed("django.contrib.auth"):
        return
    try:
        url = resolve_url(settings.LOGIN_URL)
    except NoReverseMatch:
        url = ""
    path = urlsplit(url).path
    ours = {mount + urlsplit(config.login_url).path for mount in ("", *config.mount)}
    if path in ours or _leads_to_ours(path):
        return
    yield checks.Warning(
        f"LOGIN_URL: {settings.LOGIN_URL!r} does not lead to the sign-in page, "
        f"{config.login_url!r}, where @login_required should send people.",
        hint=f"Write LOGIN_URL = {config.login_url!r}, or a path for amplify_mw.integrations."
        "django.views.sign_in in your urls.",
        id=f"{TAG}.W005",
    )


def _leads_to_ours(path: str) -> bool:
    try:
        return resolve(path).func is sign_in
    except Resolver404:
        return False


def _names(app_configs: Any, databases: Iterable[str] | None = None, **_: Any) -> list[Any]:  # noqa: ARG001
    """The names in the mapping that the database does not have."""
    if not databases or not apps.is_installed("django.contrib.auth"):
        return []
    from django.contrib.auth.models import Group, Permission

    try:
        granted = rules().groups.values()
        alias = Group.objects.db
        if alias not in databases or Group._meta.db_table not in _tables(alias):
            return []  # before the first migrate
        groups = set(Group.objects.values_list("name", flat=True))
        pairs = Permission.objects.values_list("content_type__app_label", "codename")
        permissions = {f"{label}.{name}" for label, name in pairs}
    except (ConfigurationError, DatabaseError):  # each has its own check
        return []
    named = set().union(*(each.groups for each in granted)) - groups
    found = [
        checks.Warning(
            f"AMPLIFY_MW: there is no group {name!r} in the database: it gives no rights.",
            hint="Correct the name, or make the group, in the admin or in a migration.",
            id=f"{TAG}.W007",
        )
        for name in sorted(named)
    ]
    unknown = set().union(*(each.permissions for each in granted)) - permissions
    return found + [
        checks.Warning(
            f"AMPLIFY_MW: there is no permission {name!r} in the database.",
            hint="It is the app's label, a dot and the codename, as in 'blog.change_post'. Those "
            "of a new model are there after manage.py migrate.",
            id=f"{TAG}.W008",
        )
        for name in sorted(unknown)
    ]


def _tables(alias: str) -> list[str]:
    names: list[str] = connections[alias].introspection.table_names()
    return names


def _middleware_kinds() -> Iterator[Any]:
    for path in settings.MIDDLEWARE:
        try:
            yield import_string(path)
        except ImportError:  # Django says so itself
            yield None


def _first(kinds: list[Any], kind: type) -> int | None:
    for position, each in enumerate(kinds):
        if isinstance(each, type) and issubclass(each, kind):
            return position
    return None


def _position(kinds: list[Any], path: str) -> int | None:
    """The place of a middleware of Django's, or of a subclass of it."""
    if path.startswith("django.contrib.auth") and not apps.is_installed("django.contrib.auth"):
        return None
    return _first(kinds, import_string(path))
