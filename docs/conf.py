"""How the documentation is built.

    sphinx-build --nitpicky --fail-on-warning docs build/docs

Why Sphinx, MyST and Furo:
- Sphinx's autodoc writes the reference from the package itself, and `-n -W` fails on a name, a page
  or an anchor that is not there. Its search needs no server.
- Zensical (0.1) is young: of mkdocstrings, which would write the reference, it says itself that
  support is preliminary. Its wheel is 90 MB. MkDocs 1 and Material for it are no longer developed.
- Of the themes that are kept, Furo needs no font, script or style of another host, has dark mode
  and a good phone view, and adds 0.6 MB. Shibuya is as good to look at, and released more often,
  but asks Google for its font, and has links to chats and advertisements to be switched off.
  PyData's is made for sites of many projects, and brings Bootstrap.

Nothing here asks the network: there is no intersphinx, and diagrams are SVG in the page.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import amplify_mw

project = "amplify_mw"
author = "the amplify_mw maintainers"
copyright = "the amplify_mw maintainers, Apache-2.0"  # noqa: A001 - Sphinx's own name
version = release = amplify_mw.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "house"]
exclude_patterns = ["_*"]
nitpicky = True
needs_sphinx = "9.0"

default_role = "literal"  # docstrings write `name`, as Markdown does
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 72
nitpick_ignore_regex = [
    # types of the standard library, asgiref and Werkzeug: this site does not document them
    (r"py:.*", r"(?!amplify_mw\.).*"),
    # type variables
    (r"py:class", r"amplify_mw\.[\w.]+\.[A-Z]"),
    # protocols, aliases and unions in signatures: the text beside them says what to write
    (
        r"py:class",
        r"amplify_mw\.[\w.]+\.(Store|Fault|Engine|Options|Visit|Reason|TokenSource|SessionKind|Verifier)",
    ),
]

html_theme = "furo"
html_title = f"amplify_mw {release}"
html_static_path = ["_static"]
html_css_files = ["house.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b5f5a",
        "color-brand-content": "#0b6a8f",
        "color-brand-visited": "#0b6a8f",
        "color-api-name": "#0b5f5a",
        "color-api-pre-name": "#0b5f5a",
    },
    "dark_css_variables": {
        "color-brand-primary": "#5fd3c8",
        "color-brand-content": "#6cc4ea",
        "color-brand-visited": "#6cc4ea",
        "color-api-name": "#5fd3c8",
        "color-api-pre-name": "#5fd3c8",
    },
    "navigation_with_keys": True,
}
pygments_style = "default"
pygments_dark_style = "github-dark"
