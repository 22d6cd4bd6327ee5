"""A user's row: found by (pool id, sub), or made.

Rules:
- Two processes that make the same row at once end with one: the table is unique by both, and the
  one that comes second takes back its own row, in one transaction, and finds the first one's.
- A new row has an unusable password, and no right. Its name is the pool's; if a row has that
  already, a part of the `sub` is added.
- The address is the token's if the pool has verified it, and no other row has it where a model's
  addresses are unique. Later changes in the pool change no row.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError, router, transaction
from django.utils.module_loading import import_string

from ....needs import claims
from ....sessions.verdicts import SignedIn
from ..settings import rules
from .models import CognitoUser

_CLAIMS: Final = {"first_name": "given_name", "last_name": "family_name"}


def row_of(verdict: SignedIn) -> Any:
    """The row of a user, which is made at first sight."""
    found = _find(verdict)
    if found is not None:
        return found
    told = claims(verdict)
    error: IntegrityError | None = None
    for name, address in _attempts(verdict, told):
        try:
            return _make(verdict, name, address, told)
        except IntegrityError as failure:  # somebody was faster, or has this name or address
            error = failure
            found = _find(verdict)
            if found is not None:
                return found
    assert error is not None  # noqa: S101  # there is a name at least
    raise error


def _find(verdict: SignedIn) -> Any:
    # Where rows are written: a replica may not have one that has just been made.
    using = router.db_for_write(CognitoUser)
    query = CognitoUser.objects.using(using).select_related("user")
    link = query.filter(pool=verdict.pool, sub=verdict.user.user_id).first()
    return None if link is None else link.user


def _make(verdict: SignedIn, name: str, address: str | None, told: Mapping[str, Any]) -> Any:
    model = get_user_model()
    using = router.db_for_write(CognitoUser)
    with transaction.atomic(using=using):
        row = model(**{model.USERNAME_FIELD: name})
        for field, claim in _CLAIMS.items():
            _fill(row, field, told.get(claim))
        _fill(row, model.get_email_field_name(), address)
        if hasattr(row, "set_unusable_password"):
            row.set_unusable_password()
        hook = rules().new_row
        if hook is not None:
            import_string(hook)(row, dict(told))
        row.save(using=using)
        CognitoUser.objects.using(using).create(
            pool=verdict.pool, sub=verdict.user.user_id, user=row
        )
    return row


def _fill(row: Any, name: str, value: object) -> None:
    """Set a field, if the model has it and its value is not settled yet."""
    if name == row.USERNAME_FIELD or not isinstance(value, str):
        return
    try:
        field = row._meta.get_field(name)
    except FieldDoesNotExist:
        return
    longest = getattr(field, "max_length", None)
    setattr(row, field.attname, value if longest is None else value[:longest])


def _attempts(verdict: SignedIn, told: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Names for a new row, the plainest first, and addresses."""
    model = get_user_model()
    field = model._meta.get_field(model.USERNAME_FIELD)
    email = told.get("email")
    is_verified = told.get("email_verified") in (True, "true") and isinstance(email, str)
    address = email if is_verified else None
    name, sub = verdict.user.username, verdict.user.user_id
    if model.get_email_field_name() == model.USERNAME_FIELD:
        name = address or sub
    longest = getattr(field, "max_length", None) or len(name) + len(sub) + 1
    if len(name) <= longest:
        yield name, address
    name = f"{name[: max(0, longest - len(sub) - 1)]}-{sub}"[-longest:]
    yield name, address
    if address:
        yield name, None
