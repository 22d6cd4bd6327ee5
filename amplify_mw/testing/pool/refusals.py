"""An operation's request, taken apart, and its refusal.

Rules:
- A request is a JSON object. A member that is missing or of a wrong type is refused, as at Cognito.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from .server import CognitoError

Members = Mapping[str, Any]
Operation = Callable[[Members], Members]


class Refused(Exception):
    """The pool refuses an operation: `error` says why, as Cognito does."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.error: CognitoError = CognitoError(code, message)


def json_object(content: bytes) -> Members:
    """A request's members. Raises `Refused`."""
    try:
        members = json.loads(content)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise Refused("SerializationException")
    return members


def text(members: Members, name: str) -> str:
    """A required member, which has to be text."""
    value = members.get(name)
    if value is None:
        refuse_parameter(f"Missing required parameter {name}")
    if not isinstance(value, str):
        raise Refused("SerializationException")
    return value


def refuse_parameter(message: str) -> NoReturn:
    """Refuse a member's value."""
    raise Refused("InvalidParameterException", message)
