"""`Judgement`: what a request with a credential gets, in one word."""

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from ...sessions.verdicts import Verdict

Word: TypeAlias = Literal["signed_in", "refused", "unknown"]
As: TypeAlias = Literal["cookie", "header", "token", "request", "nothing"]
Fate: TypeAlias = Literal["kept", "cleared", "none"]


class Judgement(NamedTuple):
    """`reason`: empty for a user who is signed in. `status`: of the answer; None if there is none.

    `cookie`: what becomes of the session's cookie. `why`: why it cannot be told. `verdict`: the
    library's. `notices`: what its log would tell an operator.
    """

    word: Word
    reason: str = ""
    status: int | None = None
    cookie: Fate = "none"
    why: str = ""
    read_as: As = "nothing"
    verdict: "Verdict | None" = None
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Judgement {self.word} {self.reason}>"
