"""What this site adds to Sphinx: docstrings as this package writes them, names, diagrams.

- Docstrings here are text in backticks and dashes. Lists get the blank line that reStructuredText
  wants, an option (`name`: ...) becomes an item of a list, and an indented block is code.
- The package's public names are documented where users import them. References to the modules
  in which they are defined are led there.
- An anchor keeps its underscores: an error's `reason` is the address of its explanation.
- `{diagram} name` puts `_diagrams/name.svg` into the page itself, where it takes its colours from.
- `{reasons} group` makes the entries of `amplify_mw.reasons`, each with its anchor; the overview of
  them all is `{reason-table}`.
"""

import re
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from amplify_mw.reasons import EXPLANATIONS, Explanation

# Of the classes that users write as options, the methods that are for users.
OPTIONS = {
    "AmplifyConfig": {"from_outputs", "from_env", "replace"},
    "UserPool": set(),
    "CookiePolicy": {"for_origin", "host_prefixed", "setting"},
    "AuthRoutes": set(),
    "LastingSession": set(),
    "TokenSession": set(),
    "SealedSession": set(),
    "StoredSession": set(),
    "AmplifyCookies": set(),
}
OPTION = re.compile(r"`[\w=.*()]+`(?:, `[\w=.*()]+`)*: ")
START = re.compile(rf"(?:(?<=[.)] )|^)(?={OPTION.pattern}|Raises |From here |With a )")


def as_rst(lines: list[str]) -> list[str]:
    """A docstring's lines in reStructuredText."""
    result: list[str] = []
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        if paragraph.startswith("    "):
            result.append(
                paragraph
                if result and result[-1].startswith(("::", "    "))
                else f"::\n\n{paragraph}"
            )
        elif OPTION.search(paragraph):
            result += _options(paragraph)
        else:
            result.append(re.sub(r"\n(?=- )", "\n\n", paragraph))
    return "\n\n".join(result).split("\n")


def _options(paragraph: str) -> list[str]:
    """The items of a paragraph that describes options, and the text around them."""
    parts = START.split(paragraph.replace("\n", " "))
    return [
        f"- {part.strip()}" if OPTION.match(part) else part.strip()
        for part in parts
        if part.strip()
    ]


def write_rst(
    _app: Sphinx, _what: str, _name: str, _obj: object, _o: object, lines: list[str]
) -> None:
    """Turn a docstring into reStructuredText, in place."""
    lines[:] = as_rst(lines)


def shorten(
    _app: Sphinx, _what: str, _name: str, _obj: object, _o: object, signature: str, returns: str
) -> tuple[str, str]:
    """Leave out of a signature what only a reader of the code would understand."""
    if signature:
        signature = re.sub(r"<(?:factory|required|amplify_mw[^>]*)>", "...", signature)
    return signature, returns


def skip(
    _app: Sphinx, _what: str, name: str, member: object, _skip: bool, _options: object
) -> bool | None:
    """Whether a method of an option class is for the package alone. None: as it was."""
    function = getattr(member, "fget", None) or getattr(member, "func", None) or member
    owner = getattr(function, "__qualname__", "").rpartition(".")[0]
    return True if owner in OPTIONS and name not in OPTIONS[owner] else None


def lead_to_public_name(
    app: Sphinx, _env: object, node: nodes.Element, content: nodes.Node
) -> object:
    """A reference to a public name by the module that defines it."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("amplify_mw."):
        return None
    domain = app.env.get_domain("py")
    last = target.rpartition(".")[2]
    for name in sorted(domain.objects, key=len):
        if name.rpartition(".")[2] == last and name != target and _is_same(name, target):
            return domain.resolve_xref(
                app.env, node["refdoc"], app.builder, "obj", name, node, content
            )
    return None


def _is_same(name: str, target: str) -> bool:
    return _find(name) is not None and _find(name) is _find(target)


def _find(path: str) -> object:
    """The object at a dotted path."""
    from importlib import import_module

    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


COOKIE = {"kept": "cookie kept", "cleared": "cookie cleared", "none": "no cookie"}


class Reasons(SphinxDirective):
    """The reasons of one group, explained: a list of definitions."""

    required_arguments = 1
    final_argument_whitespace = False
    has_content = False

    def run(self) -> list[nodes.Node]:
        """The list."""
        entries = [each for each in reasons() if each.group == self.arguments[0]]
        if not entries:
            raise self.error(f"reasons: there is no group {self.arguments[0]!r}")
        made = self.parse_text_to_nodes("\n".join(map(entry, entries)))
        for each in made:
            each["classes"].append("reasons")
        return made


class ReasonTable(SphinxDirective):
    """All reasons in a table: a line each."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """The table."""
        rows = ["| reason | status | cookie | means | to mend it |", "|---|---|---|---|---|"]
        rows += [
            f"| [`{each.code}`](#{each.code}) "
            f"| {' or '.join(str(status) for status in each.statuses)} "
            f"| {' or '.join(dict.fromkeys(answer.cookie for answer in each.answers))} "
            f"| {each.short_meaning} | {each.short_mend} |"
            for each in reasons()
        ]
        made = self.parse_text_to_nodes("\n".join(rows))
        for table in made:
            table["classes"].append("reasons")
        return made


def reasons() -> list[Explanation]:
    """All reasons, in the order of their table."""
    return list(EXPLANATIONS.values())


def entry(each: Explanation) -> str:
    """The definition of one reason, in Markdown."""
    answers = " ".join(
        f"[{answer.status}, {COOKIE[answer.cookie]}]{{.answer}}" for answer in each.answers
    )
    paragraphs = [each.meaning]
    if each.cause:
        paragraphs.append(f"[Usual cause]{{.label}} {each.cause}")
    more = f" See [](/{each.see})." if each.see else ""
    paragraphs.append(f"[To mend it]{{.label}} {each.mend}{more}")
    text = "\n\n  ".join(paragraphs)
    return f"[`{each.code}`]{{#{each.code}}} {answers}\n: {text}\n"


class Diagram(SphinxDirective):
    """An SVG that stands in the page, with a sentence for those who do not see it."""

    required_arguments = 1
    final_argument_whitespace = False
    option_spec: ClassVar = {"alt": directives.unchanged_required}
    has_content = False

    def run(self) -> list[nodes.Node]:
        """The figure."""
        path = Path(self.env.srcdir) / "_diagrams" / f"{self.arguments[0]}.svg"
        self.env.note_dependency(str(path))
        alt = self.options["alt"].replace("\n", " ")
        svg = path.read_text().replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)
        html = f'<figure class="diagram">{svg}</figure>'
        return [nodes.raw("", html, format="html")]


def keep_spelling(_app: Sphinx, document: nodes.document) -> None:
    """Let `errors.html#no_session` be an address: docutils makes a hyphen of each underscore."""
    for node in document.findall(nodes.inline):
        node["ids"] += [name for name in node.get("names", ()) if "_" in name]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all of it."""
    app.add_directive("diagram", Diagram)
    app.add_directive("reasons", Reasons)
    app.add_directive("reason-table", ReasonTable)
    app.connect("autodoc-process-docstring", write_rst)
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-skip-member", skip)
    app.connect("doctree-read", keep_spelling)
    app.connect("missing-reference", lead_to_public_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
