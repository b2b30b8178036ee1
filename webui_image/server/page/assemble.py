"""Makes one document of the page's parts: one request instead of fifteen, without a build step.

The scripts are ES modules, as a browser or an editor would load them. Here they are joined into one in the order of
their imports, and stand in the document together with the style; the Content-Security-Policy names the two by their
hashes, so that nothing else can run, not even from this origin.
"""

from __future__ import annotations

import base64
import gzip
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function\*? |const |class )(\w+)", re.MULTILINE)
_COMMENT = re.compile(r"^ *// .*\n", re.MULTILINE)
_INDENT = re.compile(r"^ +", re.MULTILINE)
_STYLE = '<link rel="stylesheet" href="style.css">'
_SCRIPT = '<script type="module" src="app.js"></script>'


@dataclass(frozen=True, slots=True)
class Page:
    """The document, ready to be sent. `policy` is its Content-Security-Policy."""

    html: bytes
    gzipped: bytes
    policy: str
    etag: str


@lru_cache(maxsize=1)
def page() -> Page:
    """Give the page; made once."""
    style = _INDENT.sub("", _text("style.css"))
    script = _INDENT.sub("", joined("app"))
    html = _INDENT.sub("", _text("index.html"))
    for mark, element in ((_STYLE, f"<style>{style}</style>"), (_SCRIPT, f'<script type="module">{script}</script>')):
        if html.count(mark) != 1:
            raise ValueError(f"index.html: {mark} has to stand in it once")
        html = html.replace(mark, element)
    content = html.encode()
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(content, gzip.compress(content, mtime=0), policy, f'"{sha256(content).hexdigest()[:16]}"')


def joined(entry: str) -> str:
    """Give a module and all that it imports as one script: each a function that returns what it exports, in order."""
    order: list[str] = []
    _visit(entry, order)
    return "".join(_as_function(name) for name in order)


def _visit(name: str, order: list[str]) -> None:
    for _, imported in _IMPORT.findall(_text(f"{name}.js")):
        if imported not in order:
            _visit(imported, order)
    order.append(name)


def _as_function(name: str) -> str:
    source = _COMMENT.sub("", _text(f"{name}.js"))
    exported = ", ".join(found for _, found in _EXPORT.findall(source))
    body = _EXPORT.sub(r"\1\2", _IMPORT.sub(r"const \1 = $\2;", source))
    return f"const ${name} = (() => {{\n{body}return {{ {exported} }};\n}})();\n"


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
