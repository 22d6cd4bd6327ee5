"""The parity table: every case, Amplify's answer, ours, and why they differ where they do.

`python -m tests.amplify_js.parity` writes it anew to `PARITY.md`, from the vectors and the
deliberate differences; tests hold that our answers are these.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.amplify_js.asking import in_words
from tests.amplify_js.cases import SECTIONS, USERS, Case
from tests.amplify_js.differences import DIFFERENCES, OF_CASE
from tests.amplify_js.installation import HERE
from tests.amplify_js.record import recorded
from tests.amplify_js.world import full

TABLE: Final = HERE / "PARITY.md"

_HEAD: Final = """\
# Amplify's answers and ours

{cases} cases over {users} usernames: what Amplify's own server functions answer, and what
`AmplifyCookies` answers to the same cookies, behind WSGI and behind ASGI. {same} answers are the
same; {different} differ, each for one of {reasons} reasons.

Asked: {versions}.

An answer is who is signed in, or the name of the error; and what becomes of the cookies: they are
*kept*, *rewritten* with fresh tokens, or *cleared*. Written by `python -m tests.amplify_js.parity`;
tests hold each line, against Amplify itself where Node is at hand.
"""


def table() -> str:
    """The text of the file."""
    found = recorded()
    vectors = {vector["id"]: full(vector) for vector in found["vectors"]}
    versions = ", ".join(f"`{name}` {version}" for name, version in found["versions"].items())
    head = _HEAD.format(
        cases=len(vectors),
        users=len(USERS),
        versions=versions,
        same=len(vectors) - len(OF_CASE),
        different=len(OF_CASE),
        reasons=len(DIFFERENCES),
    )
    parts = [head, *_differences(vectors)]
    for title, cases in SECTIONS.items():
        parts += [f"## {title}", "\n".join(_rows(cases, vectors))]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _differences(vectors: Mapping[str, Any]) -> Iterator[str]:
    yield "## Deliberate differences"
    for key, difference in DIFFERENCES.items():
        example, ours = next(iter(difference.cases.items()))
        theirs = in_words(vectors[example]["answer"], vectors[example])
        count = len(difference.cases)
        yield (
            f"**{_spoken(key)}** ({count} {'case' if count == 1 else 'cases'}). "
            f"{difference.reason}\n"
            f"For example `{example}`: Amplify answers *{theirs}*, we *{ours}*."
        )


def _rows(cases: list[Case], vectors: Mapping[str, Any]) -> Iterator[str]:
    yield "| Case | Cookies, and what is asked | Amplify | Ours | |"
    yield "| --- | --- | --- | --- | --- |"
    for case in cases:
        theirs = in_words(vectors[case.id]["answer"], vectors[case.id])
        key = OF_CASE.get(case.id)
        ours = theirs if key is None else DIFFERENCES[key].cases[case.id]
        verdict = "same" if key is None else f"different: {_spoken(key)}"
        cells = (f"`{case.id}`", f"{case.cookies}; {case.question}", theirs, ours, verdict)
        yield "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _spoken(key: str) -> str:
    return key.replace("_", " ")


def _cell(text: str) -> str:
    visible = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return visible.replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    TABLE.write_text(table())


if __name__ == "__main__":
    main()
