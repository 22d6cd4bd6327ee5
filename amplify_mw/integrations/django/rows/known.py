"""A user with a row, and the notes of rows that spare most requests a query.

Rules:
- A process believes a row for `database_ttl` seconds: its key, that it is active, and its plain
  values. A change that the same process makes by `save` or `delete` counts at once, any other after
  that time: `update` of a query tells nobody.
- Values are read from the note; all else (a method, a relation, a change) fetches the row first.
- An inactive row is nobody.
- The row's own `is_staff` and `is_superuser` do not count, for its own methods either. In the
  database they stay as they are: `save()` of the user writes the row's own.
"""

import datetime
import decimal
import inspect
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Model
from django.db.models.base import ModelState
from django.db.models.query_utils import DeferredAttribute
from django.utils.functional import empty

from ....engine.context import is_on_event_loop
from ....models import AuthUser
from ....sessions.verdicts import SignedIn
from ..remembering import Remembered
from ..rights import OfRequest, Rights
from ..settings import Granted, rules
from .making import row_of

if TYPE_CHECKING:
    LazyObject = object  # it has no types
else:
    from django.utils.functional import LazyObject

_PLAIN: Final = (
    *(str, bool, int, float, type(None), decimal.Decimal, uuid.UUID),
    *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta),
)  # a list or dict could be changed by one request under another's hands
_SECRET: Final = "password"  # noqa: S105
_FLAGS: Final = ("is_staff", "is_superuser")
# Methods of a model that read values only.
_BY_VALUES: Final = frozenset(
    {"get_username", "get_full_name", "get_short_name", "_is_pk_set", "_get_pk_val"}
)
# What Django asks of every value in a query.
_NO_EXPRESSION: Final = frozenset({"resolve_expression", "as_sql", "get_source_expressions"})

_notes = Remembered()
_keys = Remembered()  # of the notes, by the rows' own


class Note:
    """What a process remembers of a row."""

    __slots__ = ("is_active", "model", "pk", "using", "values")

    def __init__(self, row: Any) -> None:
        self.model: Any = type(row)
        self.pk: Any = row.pk
        self.using: str = row._state.db
        self.is_active: bool = getattr(row, "is_active", True)
        self.values: Mapping[str, Any] = _values(row)

    def __repr__(self) -> str:
        return f"<Note {self.pk!r}>"


def _values(row: Any) -> dict[str, Any]:
    found = {}
    for field in row._meta.concrete_fields:
        name = field.attname
        is_plain = type(inspect.getattr_static(type(row), name, None)) is DeferredAttribute
        if name != _SECRET and is_plain and type(row.__dict__.get(name)) in _PLAIN:
            found[name] = row.__dict__.get(name)
    return found


class KnownUser(Rights, LazyObject):
    """A user with a row: an `AUTH_USER_MODEL` to `isinstance`, to queries and to foreign keys."""

    is_authenticated: bool = True
    is_anonymous: bool = False
    is_active: bool = True

    def __init__(self, note: Note, verdict: SignedIn, granted: Granted, row: Any = None) -> None:
        self.__dict__.update(_note=note, _verdict=verdict, _granted=granted)
        super().__init__()
        if row is not None:
            self._wrapped = _limited(row, granted)

    @property
    def auth_user(self) -> AuthUser:
        """The `AuthUser`."""
        user: AuthUser = self._verdict.user
        return user

    def has_group(self, name: str) -> bool:
        """Whether the user is in a group of the pool."""
        return name in self._verdict.user.groups

    @property
    def pk(self) -> Any:
        """The row's key."""
        return self._note.pk

    # Django's own looks twice at every attribute.
    __getattribute__: Callable[[Any, str], Any] = object.__getattribute__  # type: ignore[assignment]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row, with flags of its own."""
        if self._wrapped is empty:
            self._setup()
        row = self._wrapped
        lowered = row._amplify_mw.lowered
        try:
            for flag in lowered:
                setattr(row, flag, True)
            row.save(*args, **kwargs)
        finally:
            for flag in lowered:
                setattr(row, flag, False)

    async def asave(self, *args: Any, **kwargs: Any) -> None:
        """`save`, awaited."""
        await sync_to_async(self.save)(*args, **kwargs)

    # As of a model's own: no template may call them.
    save.alters_data = asave.alters_data = True  # type: ignore[attr-defined]

    def _setup(self) -> None:
        note = self._note
        manager = note.model._base_manager.using(note.using)
        try:
            row = manager.get(pk=note.pk)
        except note.model.DoesNotExist:  # deleted by another process, since it was noted
            row = row_of(self._verdict)
            self.__dict__["_note"] = _noted(self._verdict, row)
        self._wrapped = _limited(row, self._granted)

    def __getattr__(self, name: str) -> Any:
        note = self.__dict__["_note"]
        if self._wrapped is empty:
            if name in note.values:
                return note.values[name]
            if name == "_meta":
                return note.model._meta
            if name == "_state":
                return _state(note)
            if name in _NO_EXPRESSION:
                raise AttributeError(name)
            member = inspect.getattr_static(note.model, name, None)
            if isinstance(member, str | list | tuple):  # USERNAME_FIELD and the like
                return member
            if name in _BY_VALUES and inspect.isfunction(member):
                return MethodType(member, self)
            if inspect.iscoroutinefunction(member):
                return partial(_awaited, self, name)
            self._setup()
        return getattr(self._wrapped, name)

    # Templates try `user["name"]` before `user.name`. A row is no container.
    __getitem__ = __iter__ = __len__ = __contains__ = None

    __class__ = property(lambda self: self._note.model)

    def __str__(self) -> str:
        return str(self._note.model.__str__(self))

    def __repr__(self) -> str:
        return f"<KnownUser {self._note.pk!r}>"

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model):
            return NotImplemented
        model = self._note.model._meta.concrete_model
        return bool(other._meta.concrete_model is model and other.pk == self._note.pk)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._note.pk)

    def __copy__(self) -> Any:
        return KnownUser(self._note, self._verdict, self._granted)

    def __deepcopy__(self, memo: object) -> Any:
        return self.__copy__()


async def _awaited(user: KnownUser, name: str, *args: Any, **kwargs: Any) -> Any:
    """A coroutine method of the row, which is fetched first."""
    await sync_to_async(user._setup)()
    return await getattr(user._wrapped, name)(*args, **kwargs)


def _limited(row: Any, granted: Granted) -> Any:
    """The row with the token's rights, and with no more."""
    lowered = [name for name in _FLAGS if row.__dict__.get(name) and not getattr(granted, name)]
    row._amplify_mw = OfRequest(granted, lowered)
    for flag in lowered:
        setattr(row, flag, False)
    return row


def _state(note: Note) -> ModelState:
    state = ModelState()
    state.adding, state.db = False, note.using
    return state


def known_user(verdict: SignedIn, granted: Granted, before: Any = None) -> KnownUser | None:
    """The user of a verdict; None if the row is inactive.

    `before`: the user of an earlier verdict in the same request.
    """
    note, row = _notes.get(_key(verdict)), None
    if note is None and type(before) is KnownUser and is_on_event_loop():
        held = before.__dict__
        note = held["_note"] if _key(held["_verdict"]) == _key(verdict) else None
    if note is None:
        row = row_of(verdict)
        note = _noted(verdict, row)
    return KnownUser(note, verdict, granted, row) if note.is_active else None


def is_known(verdict: SignedIn) -> bool:
    """Whether a user's row is known without a query."""
    return _notes.get(_key(verdict)) is not None


def _key(verdict: SignedIn) -> tuple[str, str]:
    return verdict.pool, verdict.user.user_id


def _noted(verdict: SignedIn, row: Any) -> Note:
    note, key, seconds = Note(row), _key(verdict), rules().database_ttl
    _notes.keep(key, note, seconds, note.using)
    _keys.keep(note.pk, key, seconds, note.using)
    return note


def forget(instance: Any, using: str, **_: Any) -> None:
    """Drop the note of a user's row that changes (a signal's receiver), and that of its old state.

    Until the change is committed, other requests read the old state, and note it.
    """
    if not isinstance(instance, get_user_model()):
        return
    key = _keys.get(instance.pk)
    if key is not None:
        _notes.forget(key)
    # A new transaction may have noted it by then, which costs it one query.
    pk = instance.pk
    transaction.on_commit(lambda: _notes.forget(_keys.get(pk)), using=using)


def forget_all() -> None:
    """Drop all notes."""
    _notes.forget_all()
    _keys.forget_all()
