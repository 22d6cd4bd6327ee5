"""All reasons, each explained once: for the documentation, the log's reader and the tools.

Rules:
- Every reason of `errors.Reason`, every code of a failed sign-in, and `foreign_origin` has one
  entry here. The tables of the documentation are made from it.
- A meaning is what happened, a cause is the usual cause, a mend is what to write or do: plain
  sentences in Markdown. They name options as they are written in code.
"""

from typing import Final, Literal, NamedTuple


class Explanation(NamedTuple):
    """A reason, explained."""

    code: str
    """Such as `wrong_client`."""

    statuses: tuple[int, ...]
    """The HTTP statuses it is answered with, the usual one first."""

    cookie: Literal["kept", "cleared", "none"]
    """What becomes of the session's cookie; `none`: no cookie is concerned."""

    meaning: str
    cause: str
    mend: str


EXPLANATIONS: Final[dict[str, Explanation]] = {}


def explain(code: str) -> Explanation | None:
    """The explanation of a reason; None if there is no such reason."""
    return EXPLANATIONS.get(code)
