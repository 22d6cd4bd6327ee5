"""Checks of the installed packages, against what this package says that it needs.

Rules:
- The needs are those of the installed package's own metadata, extras included. A package of an
  extra counts only if it is installed.
- The frameworks have no entry there: the oldest versions that the tests run with are below.
"""

import platform
import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Final

from ...models.check import Check
from .subject import Probe, Subject

_OWN: Final = "amplify-mw"
_NEED: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?>=([0-9.]+)(.*)")
TESTED: Final = {
    "bottle": "0.13",
    "blacksheep": "2.6",
    "django": "5.2",
    "djangorestframework": "3.16",
    "django-ninja": "1.4",
    "falcon": "4.4",
    "litestar": "2.25",
    "pyramid": "2.1",
    "quart": "0.20",
    "sanic": "25.12",
    "starlette": "1.0",
}
"""The oldest versions of frameworks that are tested, beside those in the metadata."""


def packages(subject: Subject) -> Iterator[Check]:  # noqa: ARG001
    """Python, the packages that are needed, and the frameworks."""
    try:
        own = metadata.distribution(_OWN)
    except metadata.PackageNotFoundError:
        yield Check(
            "packages",
            "unknown",
            f"{_OWN} was copied here, and not installed: its needs are not known",
            mend=f"pip install {_OWN}",
        )
        return
    yield _python(str(own.metadata["Requires-Python"] or ""))
    needs = [match for need in own.requires or () if (match := _NEED.fullmatch(need))]
    found = [_needed(match[1], match[2], is_extra="extra" in match[3]) for match in needs]
    found += [_tested(name, oldest) for name, oldest in TESTED.items()]
    wrong = [check for check in found if check is not None]
    yield from wrong
    if not wrong:
        told = [f"{name} {metadata.version(name)}" for name in _core(needs)]
        yield Check("packages", "ok", f"{_OWN} {own.version} with {', '.join(told)}")


def _core(needs: Sequence[re.Match[str]]) -> list[str]:
    return sorted(match[1] for match in needs if "extra" not in match[3])


def _python(needed: str) -> Check:
    here, least = platform.python_version(), needed.removeprefix(">=")
    if needed.startswith(">=") and _numbers(here) < _numbers(least):
        return Check("python", "wrong", here, f"{least} or newer", f"install Python {least}")
    return Check("python", "ok", here)


def _needed(name: str, least: str, *, is_extra: bool) -> Check | None:
    here = _installed(name)
    if here is None:
        if is_extra:
            return None
        return Check(
            "packages", "wrong", f"no {name}", f"{name} {least} or newer", f"pip install {name}"
        )
    if _numbers(here) >= _numbers(least):
        return None
    return Check(
        "packages",
        "wrong",
        f"{name} {here}",
        f"{name} {least} or newer",
        f"pip install '{name}>={least}'",
    )


def _tested(name: str, oldest: str) -> Check | None:
    here = _installed(name)
    if here is None or _numbers(here) >= _numbers(oldest):
        return None
    return Check(
        "packages",
        "warning",
        f"{name} {here}, which was not tested",
        f"{name} {oldest} or newer",
        f"pip install '{name}>={oldest}'",
    )


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, as far as they go: those of `2.0.0b1` are 2, 0 and 0.

    >>> _numbers("3.11.2") >= _numbers("3.11"), _numbers("46.0.1") < _numbers("46")
    (True, False)
    """
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


PROBES: Final[Sequence[Probe]] = (packages,)
