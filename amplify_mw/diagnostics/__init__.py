"""Explaining a credential, and examining a configuration: `amplify-mw inspect` and `doctor`."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .examination.examination import Examination as Examination
    from .examination.examination import examine as examine
    from .inspection.inspection import Inspection as Inspection
    from .inspection.inspection import inspect_credential as inspect_credential
    from .report import Check as Check

_LATER: Final = {
    "Check": ".report",
    "Examination": ".examination.examination",
    "Inspection": ".inspection.inspection",
    "examine": ".examination.examination",
    "inspect_credential": ".inspection.inspection",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is used: no command pays for the other's imports."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_LATER[name], __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
