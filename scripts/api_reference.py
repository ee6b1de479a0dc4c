"""Write the API reference from the sources' docstrings: `python scripts/api_reference.py FOLDER`.

One Markdown file a package room, one section a module, made by reading the sources and never by importing them: no
optional dependency is needed and nothing runs. Private names are left out, and so is what has nothing to say.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = (("daemon", "klined"), ("plugins", "klined_plugins"), ("models", "klined_models"))
FOLDER_OF = {package: folder for folder, package in SOURCES}

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every public module, sorted."""
    for folder, package in SOURCES:
        for path in sorted((ROOT / folder / package).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            if not any(part.startswith("_") for part in parts):
                yield ".".join(parts), path


def room(module: str) -> str:
    """The page a module stands on: its package and, for a subpackage, that room."""
    parts = module.split(".")
    is_package = (ROOT / FOLDER_OF[parts[0]] / Path(*parts[:2])).is_dir()
    return ".".join(parts[:2]) if len(parts) > 1 and is_package else parts[0]


def page(module: str, source: str) -> str:
    """One module's section."""
    tree = ast.parse(source)
    lines = [f"## {module}", "", fenced(ast.get_docstring(tree) or "")]
    for node in tree.body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            lines += entry(node, "###")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            lines += constant(node)
    return "\n".join(lines) + "\n"


def entry(node: Documented, heading: str) -> list[str]:
    lines = [f"{heading} `{signature(node)}`", "", fenced(ast.get_docstring(node) or "")]
    if isinstance(node, ast.ClassDef):
        fields = [ast.unparse(part) for part in node.body if isinstance(part, ast.AnnAssign | ast.Assign)]
        fields = [field for field in fields if not field.startswith("_")]
        if fields:
            lines += ["```python", *fields, "```", ""]
        for part in node.body:
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and not part.name.startswith("_"):
                lines += entry(part, heading + "#")
    return lines


def signature(node: Documented) -> str:
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{word} {node.name}({ast.unparse(node.args)}){returns}"


def constant(node: ast.Assign | ast.AnnAssign) -> list[str]:
    """Public constants and type aliases, short ones with their value."""
    told = ast.unparse(node)
    return [] if told.startswith("_") or len(told) > 120 else [f"`{told}`", ""]


def fenced(docstring: str) -> str:
    """Docstrings hold pictures in indented blocks, which Markdown keeps as they are."""
    return docstring + "\n" if docstring else ""


def pages() -> dict[str, str]:
    """File name to text, with an index."""
    sections: dict[str, list[str]] = {}
    for module, path in modules():
        sections.setdefault(room(module), []).append(page(module, path.read_text()))
    texts = {f"{name}.md": f"# {name}\n\n" + "\n".join(parts) for name, parts in sections.items()}
    listed = "\n".join(f"- [{name}]({name}.md)" for name in sections)
    texts["index.md"] = f"# API reference\n\nGenerated from docstrings by `make docs`.\n\n{listed}\n"
    return texts


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.md"):
        stale.unlink()
    for name, text in pages().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
