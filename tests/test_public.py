"""The public modules and names, and that each option says what it is."""

import ast
import importlib
import re
from collections.abc import Iterator
from doctest import DocTestParser
from pathlib import Path

import pytest

import amplify_mw
from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    AuthRoutes,
    CookiePolicy,
    SealedSession,
    StoredSession,
    TokenSession,
    UserPool,
)
from tests.docs.pages import PAGES, Block, blocks
from tests.test_layers import MODULES, TREES, exported

ROOT = Path(__file__).parent.parent
ERRORS = """
    AuthError NotAuthorizedException TokenExpiredException ForbiddenException
    InvalidRequestException UserNotConfirmedException NetworkError OutsideRequestError
    NotHandedOverError
    ResponseStartedError SessionTooLargeError BlockingCallError ConfigurationError
"""
SIGNALS = """
    user_signed_in sign_in_failed user_signed_out request_refused session_refreshed session_revoked
"""
PUBLIC = {
    "amplify_mw": " ".join(amplify_mw.__all__),
    "amplify_mw.aio": " ".join(amplify_mw.aio.__all__),
    "amplify_mw.wsgi": "AmplifyWSGIMiddleware",
    "amplify_mw.asgi": "AmplifyASGIMiddleware",
    "amplify_mw.errors": f"{ERRORS} Reason",
    "amplify_mw.events": """
        Event SignedIn SignInFailed Refused SignedOut Refreshed Revoked Outage Notice Rejection
    """,
    "amplify_mw.audit": "AuditLog",
    "amplify_mw.otel": "OpenTelemetry",
    "amplify_mw.stores": """
        SessionStore Record ENDED StoreUnavailable MemoryStore SQLiteStore RedisStore PostgresStore
    """,
    "amplify_mw.diagnostics": "Check Examination Inspection examine inspect_credential",
    "amplify_mw.integrations": "answer_for refuse_socket",
    "amplify_mw.integrations.blacksheep": "handle_auth_errors AmplifyAuthentication",
    "amplify_mw.integrations.bottle": "AmplifyAuth current_user handle_auth_errors",
    "amplify_mw.integrations.django": "UserMiddleware AuthErrorMiddleware",
    "amplify_mw.integrations.django.views": "sign_in",
    "amplify_mw.integrations.django.rest_framework": "AmplifyAuthentication has_group",
    "amplify_mw.integrations.django.ninja": "amplify_auth handle_auth_errors",
    "amplify_mw.integrations.django.channels": "UserMiddleware",
    "amplify_mw.integrations.falcon": "handle_auth_errors require",
    "amplify_mw.integrations.fastapi": "AmplifyAuth",
    "amplify_mw.integrations.flask": f"AmplifyAuth current_user handle_auth_errors {SIGNALS}",
    "amplify_mw.integrations.litestar": "AmplifyPlugin require",
    "amplify_mw.integrations.mcp": "AmplifyTokenVerifier settings_for",
    "amplify_mw.integrations.pyramid": "AmplifySecurityPolicy includeme",
    "amplify_mw.integrations.quart": f"AmplifyAuth current_user handle_auth_errors {SIGNALS}",
    "amplify_mw.integrations.sanic": "handle_auth_errors",
    "amplify_mw.integrations.starlette": "handle_auth_errors",
    "amplify_mw.testing": """
        LocalUserPool LocalUser Replica StateError new_signing_key
        SignedInClients Person signed_in signed_in_machine signed_out
        Fault Body CognitoError Down Drip Gate Lost Redirect Status Throttling
        AlteredRedirect AuthorizeError
    """,
    "amplify_mw.testing.plugin": "amplify_pool amplify_client",
    "amplify_mw.testing.store_contract": "StoreContract",
}

OF_DJANGO = {
    f"amplify_mw.integrations.django.{name}" for name in ("rest_framework", "ninja", "channels")
}


def test_the_package_names_its_public_modules() -> None:
    named = re.findall(r"^    (amplify_mw[a-z._]*)  ", amplify_mw.__doc__ or "", re.MULTILINE)
    assert named == list(PUBLIC)


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_module_has_its_public_names(module: str) -> None:
    names = set(PUBLIC[module].split())
    if module in OF_DJANGO:  # they want its settings at their import
        assert names <= exported(module.removeprefix("amplify_mw."))
        return
    found = importlib.import_module(module)
    assert {name for name in names if not hasattr(found, name)} == set()


@pytest.mark.parametrize("facade", ["otel", "stores", "testing"])
def test_a_facade_has_no_others(facade: str) -> None:
    assert exported(facade) == set(PUBLIC[f"amplify_mw.{facade}"].split())


def imported(source: str) -> Iterator[tuple[str, str]]:
    """The modules of this package that a program imports, and the names it takes from each."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("amplify_mw"):
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names if a.name.startswith("amplify_mw"))


def shown() -> dict[str, str]:
    """The programs and examples that users copy, by where they stand."""
    examples = {path.name: path.read_text() for path in ROOT.glob("tests/examples/*.py")}
    return {**examples, **{page: "".join(map(program, blocks(page, "python"))) for page in PAGES}}


def program(block: Block) -> str:
    """The Python of a page's block."""
    if not block.text.startswith(">>>"):
        return block.text
    return "".join(example.source for example in DocTestParser().get_examples(block.text))


@pytest.mark.parametrize(("place", "source"), shown().items(), ids=shown())
def test_what_users_copy_imports_public_names(place: str, source: str) -> None:
    names = {module: set(text.split()) for module, text in PUBLIC.items()}
    for module, name in imported(source):
        assert module in names
        assert name in {"", *names[module]} or f"{module}.{name}" in names


# --- options


def options(kind: type) -> Iterator[tuple[str, bool]]:
    """The options that the class and its bases declare, and whether a docstring follows each."""
    for base in kind.__mro__:
        module = base.__module__.removeprefix("amplify_mw.")
        if module not in MODULES or "__dataclass_fields__" not in vars(base):
            continue
        (tree,) = (
            node
            for node in ast.walk(TREES[module])
            if isinstance(node, ast.ClassDef) and node.name == base.__name__
        )
        for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                value = following.value if isinstance(following, ast.Expr) else None
                is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
                yield node.target.id, is_text


KINDS = [TokenSession, SealedSession, StoredSession, AmplifyCookies]


@pytest.mark.parametrize("kind", [AmplifyConfig, UserPool, AuthRoutes, CookiePolicy, *KINDS])
def test_each_option_has_a_docstring_of_its_own(kind: type) -> None:
    found = list(options(kind))
    assert {name for name, _ in found} == set(kind.__dataclass_fields__)  # type: ignore[attr-defined]
    assert [name for name, is_told in found if not is_told] == []
