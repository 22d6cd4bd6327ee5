"""The errors: their tree, their names, and that they give nothing away."""

import ast
import copy
import inspect
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

import amplify_mw
from amplify_mw import errors
from amplify_mw.cognito.api import read_failure
from amplify_mw.effects import Response
from amplify_mw.errors import (
    AuthError,
    BlockingCallError,
    ConfigurationError,
    ForbiddenException,
    NetworkError,
    NotAuthorizedException,
    OutsideRequestError,
    Reason,
    TokenExpiredException,
    UserNotConfirmedException,
)

PACKAGE = Path(amplify_mw.__file__).parent
ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__
]
AUTH_ERRORS: list[type[AuthError]] = [kind for kind in ALL if issubclass(kind, AuthError)]
SET_UP_ERRORS = [OutsideRequestError(), BlockingCallError("fetch_it"), ConfigurationError("a: b")]


def printed() -> Iterator[tuple[str, int, str]]:
    """The tree of the module's docstring: class, depth, and the rest of its line."""
    for line in str(errors.__doc__).splitlines():
        row = re.fullmatch(r"    ([│├└─ ]*)(\w+) {2,}(\S.*)", line)
        if row:
            yield row[2], len(row[1]) // 4, row[3]


def test_the_printed_tree_is_the_real_one() -> None:
    parents: list[str] = []
    tree = {}
    for name, depth, _ in printed():
        parents[depth:] = [name]
        tree[name] = parents[depth - 1] if depth else None
    names = {kind.__name__ for kind in ALL}
    assert tree == {
        kind.__name__: base if (base := kind.__base__.__name__) in names else None for kind in ALL
    }


def test_the_printed_tree_has_the_real_statuses_and_bases() -> None:
    for name, _, rest in printed():
        kind = getattr(errors, name)
        if number := re.match(r"\d{3}", rest):
            assert kind.status_code == int(number[0])
        elif base := re.search(r"\(an? (\w+)\)", rest):
            assert kind.__base__.__name__ == base[1]
        else:
            assert kind is AuthError


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (AuthError, 500),
        (NotAuthorizedException, 401),
        (TokenExpiredException, 401),
        (ForbiddenException, 403),
        (UserNotConfirmedException, 403),
        (NetworkError, 503),
    ],
)
def test_an_error_has_amplifys_name_and_its_status(kind: type[AuthError], status: int) -> None:
    error = kind(reason="no_session")
    assert (error.name, error.status_code) == (kind.__name__, status)
    assert error.message.endswith(".")
    assert error.recovery_suggestion.endswith(".")


def test_a_wrong_set_up_never_looks_like_a_signed_out_user() -> None:
    for error in SET_UP_ERRORS:
        assert not isinstance(error, AuthError)
    assert isinstance(SET_UP_ERRORS[0], RuntimeError)
    assert isinstance(SET_UP_ERRORS[1], RuntimeError)
    assert isinstance(SET_UP_ERRORS[2], ValueError)


def test_a_set_up_error_says_what_to_write() -> None:
    outside, blocking, _ = map(str, SET_UP_ERRORS)
    assert "AmplifyWSGIMiddleware" in outside
    assert "carry(function)" in outside
    assert "`from amplify_mw.aio import fetch_it` and `await fetch_it()`" in blocking


def test_a_reason_must_be_given() -> None:
    make: Any = AuthError
    with pytest.raises(TypeError, match="reason"):
        make("a message")


def test_every_fact_can_be_said() -> None:
    error = AuthError(
        "It is so.",
        reason="cognito_error",
        name="CodeMismatchException",
        status_code=400,
        recovery_suggestion="Do this.",
        retry_after=3.0,
    )
    assert (error.message, error.reason, error.name) == (
        *("It is so.", "cognito_error", "CodeMismatchException"),
    )
    assert (error.status_code, error.recovery_suggestion, error.retry_after) == (400, "Do this.", 3)
    assert str(error) == "It is so. (cognito_error)"


def test_facts_of_one_error_do_not_change_its_class() -> None:
    NetworkError("Other.", reason="throttled", name="Other", status_code=429, retry_after=9)
    fresh = NetworkError(reason="throttled")
    assert (fresh.name, fresh.status_code, fresh.retry_after) == ("NetworkError", 503, None)
    assert fresh.message != "Other."


def by_pickle(error: Exception) -> Any:
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("copied", [by_pickle, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", AUTH_ERRORS)
def test_an_error_survives_pickling_and_copying(
    kind: type[AuthError], copied: Callable[[Exception], Any]
) -> None:
    error = kind("Said.", reason="throttled", name="N", status_code=418, retry_after=1.5)
    error.add_note("a note")
    again = copied(error)
    assert type(again) is kind
    assert again.__dict__ == error.__dict__
    assert (str(again), again.args) == (str(error), error.args)


@pytest.mark.parametrize("copied", [by_pickle, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("error", SET_UP_ERRORS, ids=lambda error: type(error).__name__)
def test_a_set_up_error_survives_pickling_and_copying(
    error: Exception, copied: Callable[[Exception], Any]
) -> None:
    again = copied(error)
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_a_subclass_of_a_users_own_survives_pickling() -> None:
    again = by_pickle(Teapot("Short and stout.", reason="missing_group"))
    assert type(again) is Teapot
    assert (again.status_code, again.message) == (418, "Short and stout.")


class Teapot(ForbiddenException):
    """What an app may make of it."""

    status_code = 418


@pytest.mark.parametrize(
    "code", ["eyJhbGciOi.J9.sig", "secret-token", "Code\r\nX", "x" * 99, "ab/c"]
)
def test_what_cognito_quotes_reaches_no_error(code: str) -> None:
    # Cognito's messages may quote what was sent, and a broken proxy may answer anything.
    body = b'{"__type": "%b", "message": "Invalid token: secret-token"}' % code.encode()
    failure = read_failure(Response(400, {"x-amzn-errortype": code}, body))
    assert failure is not None
    error = failure.exception()
    said = f"{error!s} {error!r} {vars(error)} {failure!r}"
    assert "secret-token" not in said
    assert code not in said


# The reasons: those that may be given, and those that are.


def reasons_in(tree: ast.AST) -> Iterator[str]:
    """Every constant that is passed as a reason."""
    place = {"InvalidToken": 0, "Refused": 1, "Failure": 1}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        passed = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
        if isinstance(node.func, ast.Name) and node.func.id in place:
            passed += node.args[place[node.func.id] :][:1]
        yield from (value.value for value in passed if isinstance(value, ast.Constant))


def test_every_reason_given_is_documented_and_every_documented_one_is_given() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if "testing" not in path.parts]
    given = {reason for path in files for reason in reasons_in(ast.parse(path.read_bytes()))}
    assert given == set(get_args(Reason))


def test_reasons_are_lower_snake_codes() -> None:
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", reason) for reason in get_args(Reason))
