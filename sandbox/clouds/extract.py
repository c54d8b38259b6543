"""Extracts the schema of resources and functions from the source text of an installed Pulumi SDK.

The SDKs are generated, so their shape is regular: `_utilities.register` lists every resource token with its module and
class; `…Args` classes carry the wire name, type and description of each input, and their signatures say which are
required; resource classes have one getter for each output; functions declare arguments and results the same way. To
read the few classes that are needed takes milliseconds; to import the packages takes seconds and hundreds of megabytes.

The results are JSON documents, which `schema` caches and converts to its own types:

- a resource: `{"inputs": {NAME: PROPERTY}, "outputs": {NAME: PROPERTY}, "secrets": [NAME…]}`
- a function: `{"inputs": …, "outputs": …}`
- a property: `[TYPE, required]` or `[TYPE, required, [allowed value…]]`; an output is "required" when it is never null
- a type: `"string" "integer" "number" "boolean" "any"`, `["list", TYPE]`, `["map", TYPE]`, `["union", TYPE…]`, or
  `["object", "FOLDER/CLASS"]`, whose properties `object` gives
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import threading
from functools import cache
from pathlib import Path
from typing import Any

Document = dict[str, Any]
Type = Any

_SCALARS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_WRAPPERS = frozenset({"Input", "Output", "Optional", "NotRequired", "Awaitable"})
_CLASS = re.compile(r"^(?:class|def) (\w+)", re.MULTILINE)
_ALLOWED = re.compile(r'Available values: ((?:"[^"]*"|-?\d+)(?:, (?:"[^"]*"|-?\d+))*)')
# Unindented lines between one class and the next.
_NEXT = re.compile(r"^(?:@pulumi\.|@_utilities\.|@overload|warnings\.)", re.MULTILINE)
# The generator's Markdown turned `_` inside a listed value into `*` ("essentially*off").
_MANGLED_UNDERSCORE = re.compile(r"(?<=\w)\*(?=\w)")


class Source:
    """The source tree of one SDK, such as `pulumi_aws`."""

    def __init__(self, package: str) -> None:
        spec = importlib.util.find_spec(f"pulumi_{package}")
        if spec is None or spec.origin is None:
            raise LookupError(
                f"the SDK pulumi_{package} is not installed in this environment; install requirements.txt"
            )
        self.package: str = package
        self.root: Path = Path(spec.origin).parent
        self._modules: dict[str, tuple[Path, str]] | None = None
        self._texts: dict[Path, _Text | None] = {}

    def tokens(self) -> list[str]:
        """Return every resource token of the package."""
        return list(self._registered())

    def resource(self, token: str) -> Document | None:
        """Return the document of a resource type, or None if the SDK does not have it."""
        if token == f"pulumi:providers:{self.package}":
            folder, name = self.root, "Provider"
        elif token in self._registered():
            folder, name = self._registered()[token]
        else:
            return None
        module = token.split(":")[1].rpartition("/")[2]
        text = self._holding(folder, "provider" if name == "Provider" else _snake(module), name)
        arguments = text.block(f"{name}Args") or text.block(f"{name}InitArgs")
        body = text.block(name)
        if body is None:
            raise LookupError(
                f"pulumi_{self.package} registers {token}, but its class {name} was not found in {folder}"
            )
        return {
            "inputs": self._arguments(arguments, folder) if arguments else {},
            "outputs": self._results(body, folder),
            "secrets": _secrets(body),
        }

    def function(self, token: str) -> Document | None:
        """Return the document of a function, or None if the SDK does not have it."""
        _, module, name = token.split(":")
        folder = self.root
        if not module.startswith("index/"):
            folder = self._folder(module.split("/")[0])
        text = self._text(folder / f"{_snake(name)}.py")
        body = text.block(_snake(name)) if text else None
        if text is None or body is None:
            return None
        result = text.block(f"{name[0].upper()}{name[1:]}Result")
        return {
            "inputs": self._parameters(body, folder),
            "outputs": self._results(result, folder) if result else {},
        }

    def object(self, name: str) -> Document:
        """Return the properties of a nested input type by its name (`FOLDER/CLASS`)."""
        folder, _, cls = name.rpartition("/")
        text = self._text(self.root / folder / "_inputs.py")
        block = text.block(cls) if text else None
        if block is None:
            raise LookupError(f"pulumi_{self.package} refers to the input type {name}, but does not declare it")
        return self._arguments(block, self.root / folder)

    def _registered(self) -> dict[str, tuple[Path, str]]:
        if self._modules is None:
            text = (self.root / "__init__.py").read_text(encoding="utf-8")
            listed = re.search(r'resource_modules="""(.*?)"""', text, re.DOTALL)
            modules: list[Document] = json.loads(listed[1]) if listed else []
            self._modules = {
                token: (self.root.joinpath(*module["fqn"].split(".")[1:]), name)
                for module in modules
                for token, name in module["classes"].items()
            }
        return self._modules

    def _folder(self, module: str) -> Path:
        # The folder of a module whose name is a Python keyword (`lambda`) ends in an underscore.
        plain = self.root / module
        return plain if plain.is_dir() else self.root / f"{module}_"

    def _text(self, path: Path) -> _Text | None:
        if path not in self._texts:
            self._texts[path] = _Text(path.read_text(encoding="utf-8")) if path.exists() else None
        return self._texts[path]

    def _holding(self, folder: Path, stem: str, name: str) -> _Text:
        # The generator's file name for successive capitals (`GraphQLApi`) is irregular: search every file.
        for path in (folder / f"{stem}.py", *sorted(folder.glob("*.py"))):
            text = self._text(path)
            if text is not None and text.block(name):
                return text
        raise LookupError(f"pulumi_{self.package} has no class {name} in {folder}")

    def _arguments(self, block: str, folder: Path) -> Document:
        tree = _class(block)
        optional = _defaulted(tree)
        found: Document = {}
        for wire, name, getter in _getters(tree):
            kind, _ = self._type(getter.returns, folder)
            allowed = _allowed(getter)
            found[wire] = [kind, name not in optional, *([allowed] if allowed else [])]
        return found

    def _results(self, block: str, folder: Path) -> Document:
        found: Document = {}
        for wire, _, getter in _getters(_class(block)):
            kind, nullable = self._type(getter.returns, folder)
            found[wire] = [kind, not nullable]
        return found

    def _parameters(self, block: str, folder: Path) -> Document:
        function = _parse(block)
        assert isinstance(function, ast.FunctionDef)
        given = function.args
        annotated = {argument.arg: argument.annotation for argument in (*given.args, *given.kwonlyargs)}
        optional = {argument.arg for argument in given.args[len(given.args) - len(given.defaults) :]}
        found: Document = {}
        for wire, name in re.findall(r"__args__\['(\w+)'\] = (\w+)", block):
            kind, _ = self._type(annotated[name], folder)
            found[wire] = [kind, name not in optional]
        return found

    def _type(self, node: ast.expr | None, folder: Path) -> tuple[Type, bool]:  # noqa: PLR0911 (one return for each case)
        """Return the type of an annotation, and whether it allows None."""
        match node:
            case ast.Constant(value=str(text)):
                expression = _parse(text)
                assert isinstance(expression, ast.Expr)
                return self._type(expression.value, folder)
            case ast.Constant(value=None):
                return "any", True
            case ast.Name(id=name):
                return self._named(name, folder), False
            case ast.Attribute(value=ast.Name(id="outputs")):
                return "any", False
            case ast.Attribute(attr=name):
                return self._named(name, folder), False
            case ast.Subscript(value=base, slice=inner):
                return self._generic(base, inner, folder)
            case _:
                return "any", False

    def _generic(self, base: ast.expr, inner: ast.expr, folder: Path) -> tuple[Type, bool]:
        name = base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""
        if name in _WRAPPERS:
            kind, nullable = self._type(inner, folder)
            return kind, nullable or name == "Optional"
        if name == "Sequence":
            return ["list", self._type(inner, folder)[0]], False
        if name == "Mapping" and isinstance(inner, ast.Tuple):
            return ["map", self._type(inner.elts[1], folder)[0]], False
        if name == "Union" and isinstance(inner, ast.Tuple):
            return self._union(inner.elts, folder)
        return "any", False

    def _union(self, options: list[ast.expr], folder: Path) -> tuple[Type, bool]:
        found: list[Type] = []
        for option in options:
            text = ast.unparse(option)
            if "ArgsDict'" in text or "outputs." in text:
                continue  # the same object as a TypedDict or an output class
            kind, _ = self._type(option, folder)
            if kind not in found:
                found.append(kind)
        return (found[0] if len(found) == 1 else ["union", *found]), False

    def _named(self, name: str, folder: Path) -> Type:
        if name in _SCALARS:
            return _SCALARS[name]
        if name.endswith("Args"):
            text = self._text(folder / "_inputs.py")
            if text is not None and text.block(name):
                inside = folder.relative_to(self.root)
                return ["object", f"{inside.as_posix()}/{name}" if inside.parts else f"/{name}"]
            return "any"
        enumeration = self._text(folder / "_enums.py")
        # The SDKs' enumerations are incomplete ("t3.micro"): the clouds accept more values, so allow any string.
        return "string" if enumeration is not None and enumeration.block(name) else "any"


class _Text:
    """One module's source, with the position of every top-level class and function."""

    def __init__(self, text: str) -> None:
        self._text: str = text
        starts = [(match[1], match.start()) for match in _CLASS.finditer(text)]
        ends = [*[start for _, start in starts][1:], len(text)]
        self._spans: dict[str, tuple[int, int]] = {}
        for (name, start), end in zip(starts, ends, strict=False):  # without a class `ends` is longer
            self._spans.setdefault(name, (start, end))

    def block(self, name: str) -> str | None:
        """Return the source of one class or function, without the decorators of the next one."""
        if name not in self._spans:
            return None
        start, end = self._spans[name]
        return _NEXT.split(self._text[start:end], maxsplit=1)[0]


@cache
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


# CPython 3.11 counts the parser's recursion for all threads together, and raises SystemError if two threads parse.
_PARSING = threading.Lock()


def _parse(block: str) -> ast.stmt:
    with _PARSING:
        return ast.parse(block).body[0]


def _class(block: str) -> ast.ClassDef:
    tree = _parse(block)
    assert isinstance(tree, ast.ClassDef)
    return tree


def _defaulted(tree: ast.ClassDef) -> set[str]:
    """Return the names of the constructor's parameters that have a default."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            return {argument.arg for argument, default in pairs if default is not None}
    return set()


def _getters(tree: ast.ClassDef) -> list[tuple[str, str, ast.FunctionDef]]:
    """Return each `pulumi.getter` of a class: wire name, Python name, function."""
    found: list[tuple[str, str, ast.FunctionDef]] = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            call = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(call, ast.Attribute) and call.attr == "getter":
                named = decorator.keywords if isinstance(decorator, ast.Call) else []
                wire = next((str(ast.literal_eval(word.value)) for word in named if word.arg == "name"), node.name)
                found.append((wire, node.name, node))
    return found


def _allowed(getter: ast.FunctionDef) -> list[str | int]:
    """Return the values that a property's description lists as available."""
    listed = _ALLOWED.search(ast.get_docstring(getter) or "")
    if listed is None:
        return []
    values: list[str | int] = json.loads(f"[{listed[1]}]")
    return [_MANGLED_UNDERSCORE.sub("_", value) if isinstance(value, str) else value for value in values]


def _secrets(body: str) -> list[str]:
    listed = re.search(r"additional_secret_outputs=(\[[^\]]*\])", body)
    return list(json.loads(listed[1])) if listed else []
