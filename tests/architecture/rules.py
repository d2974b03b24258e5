"""The laws of the layout, as functions from a tree of files to a list of breaches.

A breach is one line, "FILE:LINE: what is wrong", with the file relative to the tree.
The laws are read from import statements and syntax trees, never by importing the package.
"""

import ast
import os
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

PACKAGE = "sentinel"
LONGEST_MODULE = 300
LONGEST_FUNCTION = 40
MOST_ARGUMENTS = 5

ROOMS: Mapping[str, AbstractSet[str]] = {
    "model": set(),
    "policy": {"model"},
    "linux": {"model"},
    "enclosure": {"model"},
    "report": {"model"},
    "config": {"model"},
    "control": {"model", "linux"},
    "metrics": {"model", "linux"},
    "dashboard": {"model", "control", "linux", "report"},
    "cgroup": {"model", "enclosure", "linux", "policy"},
    "rss": {"model", "enclosure", "linux", "policy"},
    "selection": {"model", "enclosure", "linux", "cgroup", "rss"},
    "guard": {"model", "enclosure", "linux", "policy"},
    "commands": {
        *("model", "enclosure", "report", "config", "control"),
        *("metrics", "dashboard", "selection", "guard"),
    },
}
"""Which rooms each room may import, besides itself."""

CLOCKS_AND_SIGNALS = {"time", "signal", "sched"}
"""Modules of the linux room: everywhere else `now` is an argument and a signal is a word."""

OWNERS: Mapping[str, AbstractSet[str]] = {
    "prometheus_client": {"metrics"},
    "psutil": {"rss"},
    "pyroute2": {"linux", "rss"},
    "pyte": {"dashboard"},
    "rich": {"dashboard"},
}
"""Heavy libraries and the rooms that may import them when their module is loaded."""

ENDINGS = {"sys.exit", "os._exit", "os.abort", "exit", "quit", "SystemExit"}
PRINTING = {"print", "click.echo", "click.secho"}
CHILD = "linux/spawn.py"
"""The one file besides commands/ that may end a process: a child that could not exec."""

SHAPELESS = re.compile(r"_?(utils?|helpers?|misc|common)")
ADDRESS_SETTING = re.compile(
    r"""(registry["']?\s*[=:]|"resolved"\s*:|index-url[ =]|find-links[ =])\s*["']?(https?|file):"""
)
HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("npmjs", "org"), ("npmjs", "com"))]
HOSTS += [".".join(parts) for parts in (("pythonhosted", "org"), ("proxy", "golang", "org"))]
GENERATED = {"build", "dist", "node_modules", "__pycache__"}


class Module(NamedTuple):
    """One source file of the package: its path below the package, room, text and syntax tree."""

    path: str
    room: str
    text: str
    tree: ast.Module


class Import(NamedTuple):
    """One imported module by its full name, and whether it happens when the file is loaded."""

    name: str
    line: int
    on_load: bool


def modules(root: str) -> list[Module]:
    """Return every module of the package below `root`."""
    found = []
    package = os.path.join(root, PACKAGE)
    for path in _files(package):
        if path.endswith(".py"):
            with open(os.path.join(package, path), encoding="utf-8") as file:
                text = file.read()
            room = path.split(os.sep)[0].removesuffix(".py")
            found.append(Module(path, room, text, ast.parse(text, path)))
    return found


def imports(module: Module) -> list[Import]:
    """Return what a module imports, relative and late imports included, by full names."""
    found = []
    for node, inside in _walk(module.tree):
        on_load = not inside
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, on_load) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            # `from sentinel import model` names a room in the alias, not in the module.
            names = [f"{base}.{alias.name}" for alias in node.names] if base == PACKAGE else [base]
            found += [Import(name, node.lineno, on_load) for name in names]
        elif isinstance(node, ast.Call) and _dotted(node.func).endswith(
            ("import_module", "__import__")
        ):
            argument = node.args[0] if node.args else None
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                found.append(Import(argument.value, node.lineno, on_load))
    return found


def import_direction(root: str) -> list[str]:
    """Find imports against the table, and rooms that the table does not know."""
    breaches = []
    for module in modules(root):
        if module.room == "__init__":
            breaches += [
                _at(module, found.line, "the package itself imports no room")
                for found in imports(module)
                if _room(found.name)
            ]
            continue
        if module.room not in ROOMS:
            breaches.append(_at(module, 1, f"room {module.room} has no row in the import table"))
            continue
        allowed = {module.room, *ROOMS[module.room]}
        breaches += [
            _at(module, found.line, f"{module.room} imports {room}")
            for found in imports(module)
            if (room := _room(found.name)) and room not in allowed
        ]
    return breaches


def clocks_and_signals(root: str) -> list[str]:
    """Find uses of the clock or of signals outside the linux room."""
    breaches = []
    for module in modules(root):
        if module.room == "linux":
            continue
        breaches += [
            _at(module, found.line, f"{found.name} belongs to linux")
            for found in imports(module)
            if found.name.split(".")[0] in CLOCKS_AND_SIGNALS
        ]
        breaches += [
            _at(module, node.lineno, f"{name} reads the clock: take now as an argument")
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Attribute)
            and (name := _dotted(node)).endswith((".now", ".utcnow", ".today"))
            and name.startswith(("datetime.", "date."))
        ]
    return breaches


def heavy_imports(root: str) -> list[str]:
    """Find heavy libraries that are imported on load outside the room that owns them."""
    return [
        _at(module, found.line, f"{library} is imported on load outside {_list(OWNERS[library])}")
        for module in modules(root)
        for found in imports(module)
        if (library := found.name.split(".")[0]) in OWNERS
        and found.on_load
        and module.room not in OWNERS[library]
    ]


def endings_and_prints(root: str) -> list[str]:
    """Find ends of the process and prints outside the commands."""
    breaches = []
    for module in modules(root):
        if module.room == "commands":
            continue
        forbidden = PRINTING | (set() if module.path == CHILD else ENDINGS)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name | ast.Attribute) and _dotted(node) in forbidden:
                breaches.append(_at(module, node.lineno, f"{_dotted(node)} outside commands"))
            elif isinstance(node, ast.ImportFrom):
                breaches += [
                    _at(module, node.lineno, f"{name} outside commands")
                    for name in (f"{node.module}.{alias.name}" for alias in node.names)
                    if name in forbidden
                ]
    return breaches


def sizes(root: str) -> list[str]:
    """Find modules and functions that are too long, and constructors that take too much."""
    breaches = []
    for module in modules(root):
        lines = module.text.count("\n")
        if lines > LONGEST_MODULE:
            breaches.append(_at(module, 1, f"{lines} lines, {LONGEST_MODULE} is the most"))
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                breaches.append(_at(module, node.lineno, f"{node.name} has {lines} lines"))
            taken = _arguments(node) - 1
            if node.name == "__init__" and taken > MOST_ARGUMENTS:
                breaches.append(_at(module, node.lineno, f"constructor takes {taken} arguments"))
    return breaches


def shapeless_names(root: str) -> list[str]:
    """Find files and directories whose name says nothing about what is inside."""
    return [
        f"{path}:1: a file is named for what is in it"
        for path in _files(root)
        if any(SHAPELESS.fullmatch(part.split(".")[0]) for part in path.split(os.sep))
    ]


def registry_addresses(root: str) -> list[str]:
    """Find addresses of package registries: which one to ask is the machine's business."""
    breaches = []
    for path in _files(root):
        try:
            with open(os.path.join(root, path), encoding="utf-8") as file:
                lines = file.read().splitlines()
        except UnicodeDecodeError:
            continue
        breaches += [
            f"{path}:{number}: the address of a package registry"
            for number, line in enumerate(lines, 1)
            if ADDRESS_SETTING.search(line) or any(host in line for host in HOSTS)
        ]
    return breaches


def _files(root: str) -> list[str]:
    """Return the files below `root`, relative to it, without what tools and builds made."""
    found = []
    for directory, below, names in os.walk(root):
        below[:] = [
            name
            for name in below
            if name == ".ci"
            or not (name.startswith(".") or name.endswith(".egg-info") or name in GENERATED)
        ]
        found += [os.path.relpath(os.path.join(directory, name), root) for name in names]
    return sorted(found)


def _walk(tree: ast.AST, *, inside: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every node and whether it runs only when a function is called."""
    for node in ast.iter_child_nodes(tree):
        yield node, inside
        deeper = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _walk(node, inside=deeper)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    """Return the full name of the module that a `from` import names."""
    if not node.level:
        return node.module or ""
    here = [PACKAGE, *module.path.split(os.sep)[:-1]]
    return ".".join([*here[: len(here) - node.level + 1], *filter(None, [node.module])])


def _room(name: str) -> str | None:
    """Return the room that a full module name lies in, None outside the package."""
    parts = name.split(".")
    is_room = parts[0] == PACKAGE and len(parts) > 1 and not parts[1].startswith("__")
    return parts[1] if is_room else None


def _dotted(node: ast.AST) -> str:
    """Return `a.b.c` for a chain of names, an empty string for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return ""


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many arguments a function names, its own object included."""
    return len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)


def _list(names: AbstractSet[str]) -> str:
    """Return names in a sentence."""
    return " and ".join(sorted(names))


def _at(module: Module, line: int, what: str) -> str:
    """Return a breach."""
    return f"{PACKAGE}/{module.path}:{line}: {what}"
