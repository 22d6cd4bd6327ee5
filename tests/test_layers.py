"""Imports run one way only, and what is pure stays so: held by reading the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import get_type_hints

import pytest

import amplify_mw
import amplify_mw.aio

PACKAGE = Path(amplify_mw.__file__).parent

# From the ground up: a file imports only from what stands before it, in its room or an earlier one.
# `wsgi` and the like are files of the package itself.
HOUSE = {
    "errors": "",
    "reasons": "",
    "naming": "",
    "models": "user machine session cognito check",
    "effects": "",
    "events": "",
    "telemetry": "",
    "web": """
        base64url origins cookie_policy proxy cookies mounts requests headers hosts paths answers
        client_address authorization resource pages sent
    """,
    "cognito": """
        rsa keys invalid jwt verifier api ending oauth pace regions grants attributes sessions
    """,
    "sessions": """
        seal bundle record store codec client verdicts handed handover base token lifetimes
        refreshing settling lasting sealed stored several
        amplify.wire amplify.jar amplify.codec amplify.tokens amplify.memory amplify.sessions
    """,
    "needs": "",
    "config": "checks regions pool resource routes options files config dangers",
    "credentials": "",
    "bearer": "",
    "authenticator": "",
    "log": "",
    "audit": "fields limits targets audit_log",
    "stores": """
        examination base memory
        redis.errors redis.records redis.scripts redis.commands redis.exchange redis.arrived
        redis.batching redis.cache
        postgres.errors postgres.table postgres.questions postgres.link postgres.connections
        postgres.examination postgres.store
        redis.urls redis.slots redis.credentials redis.sentinel redis.server redis.connections
        redis.cluster redis.listener redis.examination redis.store
        sqlite.errors sqlite.file sqlite.connections sqlite.database sqlite.table sqlite.examination
        sqlite.store
    """,
    "engine": """
        network http flights cache lines reporting driver measuring engine inheriting context
        carrying refusals pages
    """,
    "verbs": """
        user user_of acting request_user given change start end fetch cognitos devices guarded
        guards
    """,
    "routes": """
        target attempt provider pages failures site queries failing exchange
        sign_in callback sign_out handler
    """,
    "shell": """
        inside kinds notices routes first debugging telling shell
        wsgi_request wsgi_response wsgi_withheld asgi_request asgi_response
    """,
    "wsgi": "",
    "asgi": "",
    "otel": "api instruments operations users telemetry",
    "diagnostics": """
        report configuration
        inspection.facts inspection.judgement inspection.recognition inspection.looking
        inspection.tokens inspection.cookies inspection.alone inspection.sessions
        inspection.handed_over inspection.requests inspection.judging inspection.explaining
        inspection.inspection inspection.terminal inspection.command
        examination.subject examination.settings examination.cookies examination.paths
        examination.keys examination.stores examination.packages examination.reach
        examination.discovery examination.key_sets examination.clients examination.sign_in
        examination.pool examination.examination examination.command
    """,
    "integrations": """
        answering current signals bottle
        django.settings django.remembering django.rights django.users django.backend
        django.rows.models django.rows.making django.rows.known django.rows.migrations.0001_initial
        django.present django.middleware django.views django.checks django.apps django.rows.apps
        django.rest_framework django.ninja django.channels
        blacksheep falcon flask litestar mcp pyramid quart sanic starlette fastapi
    """,
    "testing": """
        pool.srp pool.signing pool.issuers pool.secrecy pool.tracking pool.client_secrets
        pool.machines pool.server pool.ledger pool.refusals pool.authorization pool.codes
        pool.discovery pool.redirects pool.secret_operations pool.session_operations
        pool.operations pool.oauth pool.pages pool.hosted pool.browserless pool.origins
        pool.certificate pool.state pool.document pool.keeping pool.outputs pool.region
        pool.pool pool.command
        identity clients.cookies clients.people clients.pointing clients.serving
        clients.browser clients.wsgi clients.flask clients.httpx clients.starlette clients.django
        clients.clients plugin
        store_contract.basis store_contract.records store_contract.lists store_contract.leases
        store_contract.steps store_contract.sharing store_contract.walk
    """,
    "demo": "device people profile frame pages host app_flask app_fastapi server",
    "__main__": "",
}
ORDER = [
    f"{room}.{file}" if file else room
    for room, files in HOUSE.items()
    for file in files.split() or [""]
]
FACADES = {"", "aio"}  # the public names: for users, and for what is written as a user would
FILES = {"config.files"}  # the one pure room's file that reads files and the environment
PURE = [name for name in ORDER[: ORDER.index("log")] if name not in FILES]

WORLDLY = {"time", "socket", "threading", "asyncio", "logging", "random", "secrets", "subprocess"}
FRAMEWORKS = {
    *("flask", "bottle", "django", "starlette", "fastapi", "quart", "litestar", "tornado"),
    *("pyramid", "blinker", "rest_framework", "ninja", "channels", "falcon", "blacksheep", "sanic"),
}


def modules() -> dict[str, Path]:
    """Every module by its name below `amplify_mw`; "" is the package itself."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
TREES = {name: ast.parse(path.read_bytes()) for name, path in MODULES.items()}


def imports(module: str) -> Iterator[tuple[str, ast.stmt]]:
    """What a module imports, wherever in it: absolute names."""
    path = MODULES[module]
    package = ["amplify_mw", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield (full if own(full) in MODULES else source), node


def own(name: str) -> str | None:
    """The module below `amplify_mw` that an absolute name means; None for another package."""
    head, _, rest = name.partition(".")
    return rest if head == "amplify_mw" else None


def own_imports(module: str) -> set[str]:
    return {inner for name, _ in imports(module) if (inner := own(name)) is not None}


def is_face(module: str) -> bool:
    """Whether it is a folder's `__init__`, which may pass on names of its own folder's files."""
    return MODULES[module].name == "__init__.py"


PLACED = sorted(name for name in MODULES if name not in FACADES and not is_face(name))
FACES = sorted(name for name in MODULES if name not in FACADES and is_face(name))


def test_every_file_has_its_place() -> None:
    assert sorted(ORDER) == PLACED


@pytest.mark.parametrize("module", PLACED)
def test_a_file_imports_only_what_stands_before_it(module: str) -> None:
    before = set(ORDER[: ORDER.index(module)])
    faces = {
        face for face in FACES if {name for name in ORDER if name.startswith(face + ".")} <= before
    }
    assert own_imports(module) - FACADES - faces <= before


@pytest.mark.parametrize("face", FACES)
def test_a_folder_passes_on_names_of_its_own_files(face: str) -> None:
    assert all(name.startswith(f"{face}.") for name in own_imports(face))


@pytest.mark.parametrize("module", PLACED)
def test_only_what_is_written_as_a_user_would_uses_the_facades(module: str) -> None:
    if module.partition(".")[0] not in ("demo", "__main__"):
        assert not own_imports(module) & FACADES


def test_no_imports_form_a_cycle() -> None:
    graph = {name: own_imports(name) for name in MODULES}
    assert set(TopologicalSorter(graph).static_order()) == MODULES.keys()  # raises at a cycle


@pytest.mark.parametrize("module", PURE)
def test_what_is_pure_knows_nothing_of_the_world(module: str) -> None:
    roots = {name.partition(".")[0] for name, _ in imports(module)}
    assert not roots & WORLDLY
    of_os = {"os"} if module.startswith("config.") else set()  # for a type, see below
    assert not roots & ({"os", "pathlib", "io"} - of_os)


@pytest.mark.parametrize("module", PURE)
def test_what_is_pure_neither_opens_waits_nor_awaits(module: str) -> None:
    calls = {
        node.func.id
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "input", "print", "exec", "eval", "__import__"}
    awaits = [
        node
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor)
    ]
    assert not awaits


@pytest.mark.parametrize("module", [name for name in PURE if name.startswith("config.")])
def test_the_configuration_takes_only_a_type_from_os(module: str) -> None:
    used = {
        node.attr
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert used <= {"PathLike"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_one_module_speaks_to_logging(module: str) -> None:
    # There what the app's handlers raise is caught. (The demo is a program of its own.)
    roots = {name.partition(".")[0] for name, _ in imports(module)}
    assert module in ("log", "demo.server") or "logging" not in roots


FOR_FRAMEWORKS = ("integrations.", "demo.app_", "testing.clients.")


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_an_integration_imports_a_framework(module: str) -> None:
    roots = {name.partition(".")[0] for name, _ in imports(module)}
    assert module.startswith(FOR_FRAMEWORKS) or not roots & FRAMEWORKS


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after `statement`."""
    code = f"{statement}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {
    "httpcore2",
    "httpx2",
    "joserfc",
    "authlib",
    "asyncio",
    "werkzeug",
    "cryptography",
    "redis",
    "psycopg",
} | FRAMEWORKS


@pytest.mark.parametrize("module", ["amplify_mw", "amplify_mw.wsgi"])
def test_an_import_loads_nothing_that_is_not_needed_yet(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert "amplify_mw" in loaded
    assert not loaded & (HEAVY | {"hashlib", "sqlite3", "logging"})


@pytest.mark.parametrize("module", ["amplify_mw.asgi", "amplify_mw.aio"])
def test_the_async_half_loads_asyncio_at_most(module: str) -> None:
    assert not loaded_by(f"import {module}") & (HEAVY - {"asyncio"})


def test_no_app_loads_the_diagnostics() -> None:
    outside = {name: tree for name, tree in TREES.items() if not name.startswith("diagnostics")}
    loading = [
        name
        for name, tree in outside.items()
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and "diagnostics" in (node.module or "").split(".")
    ]
    assert loading == []


# The public names.


def exported(module: str) -> set[str]:
    """The names that a facade offers: re-exported as themselves, or defined without underscore."""
    names = set()
    later = [node for node in TREES[module].body if isinstance(node, ast.If)]  # TYPE_CHECKING
    for node in [*TREES[module].body, *(inner for outer in later for inner in outer.body)]:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names if alias.asname == alias.name}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


AMPLIFY_SPELLINGS = {
    "getCurrentUser": "get_current_user",
    "fetchUserAttributes": "fetch_user_attributes",
    "fetchAuthSession": "fetch_auth_session",
}
VERBS = {
    *("get_current_user", "get_current_principal", "get_claim", "user_or_none", "carry"),
    *("fetch_user_attributes", "fetch_auth_session"),
    *("require_auth", "handle_server_auth", "ServerAuthManager"),
    *("start_session", "end_session", "list_sessions", "end_session_by_handle", "user_of"),
    *("hand_over_user", "acting_as"),
}


def test_the_verbs_have_the_same_names_in_both() -> None:
    # `T` is a type variable; `__all__` leaves it out.
    assert set(amplify_mw.aio.__all__) == VERBS | AMPLIFY_SPELLINGS.keys()
    assert exported("aio") - {"T"} == set(amplify_mw.aio.__all__)
    values = {name for name in exported("") if isinstance(getattr(amplify_mw, name), type)}
    assert exported("") - values | {"ServerAuthManager"} == set(amplify_mw.aio.__all__)


@pytest.mark.parametrize("name", sorted(set(amplify_mw.__all__) - VERBS))
def test_annotations_of_a_public_class_can_be_read(name: str) -> None:
    """Tools that build on them (settings, dependency injection) ask for them while they run."""
    if isinstance(value := getattr(amplify_mw, name), type):
        assert get_type_hints(value) is not None
        assert get_type_hints(value.__init__) is not None


def test_what_is_imported_later_is_what_type_checkers_see() -> None:
    later = {name: getattr(amplify_mw, name).__module__ for name in amplify_mw._LATER}
    assert later == {name: f"amplify_mw{module}" for name, module in amplify_mw._LATER.items()}
    assert later.keys() <= exported("") == set(amplify_mw.__all__)
    with pytest.raises(AttributeError, match="NoSuchThing"):
        amplify_mw.NoSuchThing  # noqa: B018


@pytest.mark.parametrize("facade", [amplify_mw, amplify_mw.aio])
@pytest.mark.parametrize(("theirs", "ours"), AMPLIFY_SPELLINGS.items())
def test_amplifys_spelling_is_the_same_function(facade: object, theirs: str, ours: str) -> None:
    assert getattr(facade, theirs) is getattr(facade, ours)


def test_both_managers_have_the_same_methods() -> None:
    def methods(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert methods(amplify_mw.ServerAuthManager) == methods(amplify_mw.aio.ServerAuthManager)
    assert len(methods(amplify_mw.ServerAuthManager)) == 4


def test_every_error_is_public() -> None:
    classes = {node.name for node in TREES["errors"].body if isinstance(node, ast.ClassDef)}
    assert classes <= exported("")
