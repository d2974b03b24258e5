"""Each law finds what it forbids in a tree made to break it, and nothing in one that keeps it."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.architecture import rules

WEB, DISK = "https:", "file:"
"""Kept apart from the settings below: this file is one of those that the law reads."""


def plant(root: Path, files: Mapping[str, str]) -> str:
    """Write `files` below `root`; return it as the laws take it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return os.fspath(root)


@pytest.mark.parametrize(
    ("path", "text", "breach"),
    [
        ("policy/a.py", "import os\nfrom sentinel.linux import loop\n", "2: policy imports linux"),
        ("policy/a.py", "import sentinel.cgroup.files\n", "1: policy imports cgroup"),
        ("policy/a.py", "from sentinel import rss\n", "1: policy imports rss"),
        ("policy/a.py", "from ..guard import guardian\n", "1: policy imports guard"),
        ("policy/a.py", "from .. import guard\n", "1: policy imports guard"),
        ("model/a.py", "def f():\n    import sentinel.config\n", "2: model imports config"),
        ("cgroup/a/b.py", "from ...rss import family\n", "1: cgroup imports rss"),
        ("commands/a.py", "from sentinel.linux import loop\n", "1: commands imports linux"),
        (
            "enclosure.py",
            "import importlib\nimportlib.import_module('sentinel.rss.probe')\n",
            "2: enclosure imports rss",
        ),
        ("attic/a.py", "", "1: room attic has no row in the import table"),
        ("attic.py", "", "1: room attic has no row in the import table"),
        (
            "__init__.py",
            "from sentinel.model import units\n",
            "1: the package itself imports no room",
        ),
    ],
)
def test_import_against_the_table_is_found(
    tmp_path: Path, path: str, text: str, breach: str
) -> None:
    """An import that the table does not allow is named with its line, however it is written."""
    root = plant(tmp_path, {f"sentinel/{path}": text})
    assert rules.import_direction(root) == [f"sentinel/{path}:{breach}"]


def test_imports_along_the_table_are_fine(tmp_path: Path) -> None:
    """What the table allows, the own room, and the rest of the world are no breach."""
    root = plant(
        tmp_path,
        {
            "sentinel/guard/a.py": "import os\nfrom sentinel.policy import b\nfrom . import c\n",
            "sentinel/selection.py": "from sentinel.cgroup import a\nfrom sentinel.rss import b\n",
            "sentinel/commands/main.py": "from sentinel import __version__, guard\n",
        },
    )
    assert rules.import_direction(root) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import time\n", "time belongs to linux"),
        ("def f():\n    from signal import SIGTERM\n", "signal belongs to linux"),
        ("import datetime\ndatetime.datetime.now()\n", "datetime.datetime.now reads the clock"),
        ("from datetime import date\ndate.today()\n", "date.today reads the clock"),
    ],
)
def test_a_clock_or_signal_outside_linux_is_found(tmp_path: Path, text: str, what: str) -> None:
    """Clocks and signals are found in any room but linux."""
    root = plant(tmp_path, {"sentinel/guard/a.py": text, "sentinel/linux/b.py": text})
    (breach,) = rules.clocks_and_signals(root)
    line = text.count("\n")
    assert breach.startswith(f"sentinel/guard/a.py:{line}: {what}")


def test_a_heavy_import_outside_its_room_is_found(tmp_path: Path) -> None:
    """A heavy library is loaded by the room that owns it; elsewhere only inside a function."""
    root = plant(
        tmp_path,
        {
            "sentinel/commands/top.py": "from rich.live import Live\n",
            "sentinel/rss/a.py": "import psutil\n",
            "sentinel/config/a.py": "if True:\n    import psutil\n",
            "sentinel/config/b.py": "def f():\n    import psutil\n",
        },
    )
    assert rules.heavy_imports(root) == [
        "sentinel/commands/top.py:1: rich is imported on load outside dashboard",
        "sentinel/config/a.py:2: psutil is imported on load outside rss",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import sys\nsys.exit(1)\n", "sys.exit"),
        ("import os\nos._exit(1)\n", "os._exit"),
        ("import sys\nfrom sys import exit\n", "sys.exit"),
        ("import sys\nraise SystemExit\n", "SystemExit"),
        ("import sys\nprint(1)\n", "print"),
        ("import click\nclick.echo(1)\n", "click.echo"),
        ("import click\nfrom click import echo\n", "click.echo"),
    ],
)
def test_an_exit_or_print_outside_commands_is_found(tmp_path: Path, text: str, what: str) -> None:
    """Only the commands print and end the process."""
    root = plant(tmp_path, {"sentinel/guard/a.py": text, "sentinel/commands/b.py": text})
    assert rules.endings_and_prints(root) == [f"sentinel/guard/a.py:2: {what} outside commands"]


def test_the_child_of_spawn_may_exit_but_not_print(tmp_path: Path) -> None:
    """linux/spawn.py ends a child that could not exec; it prints no more than any other room."""
    text = "import os\nos._exit(127)\nprint(1)\n"
    root = plant(tmp_path, {"sentinel/linux/spawn.py": text})
    assert rules.endings_and_prints(root) == ["sentinel/linux/spawn.py:3: print outside commands"]


def test_a_module_function_or_constructor_that_is_too_big_is_found(tmp_path: Path) -> None:
    """One line or one argument over the most is found; exactly the most is not."""
    body = "    a = 1\n"
    root = plant(
        tmp_path,
        {
            "sentinel/model/long.py": "a = 1\n" * 301,
            "sentinel/model/full.py": "a = 1\n" * 300,
            "sentinel/model/f.py": f"def f():\n{body * 40}def g():\n{body * 39}",
            "sentinel/model/c.py": (
                "class A:\n    def __init__(self, a, b, c, d, *, e, f): ...\n"
                "class B:\n    def __init__(self, a, b, c, d, *, e): ...\n"
                "def many(a, b, c, d, e, f, g): ...\n"
            ),
            "sentinel/model/d.py": "class C:\n" + "".join(f"    a{n}: int\n" for n in range(9)),
        },
    )
    assert rules.sizes(root) == [
        "sentinel/model/c.py:2: constructor takes 6 arguments",
        "sentinel/model/f.py:1: f has 41 lines",
        "sentinel/model/long.py:1: 301 lines, 300 is the most",
    ]


@pytest.mark.parametrize(
    "path", ["sentinel/linux/utils.py", "tests/helpers/a.py", "docs/_util.py", "tests/helper.sh"]
)
def test_a_name_that_says_nothing_is_found(tmp_path: Path, path: str) -> None:
    """Utilities and helpers are found wherever they are; files of tools are not looked at."""
    root = plant(tmp_path, {path: "", "sentinel/util_linux.py": "", ".venv/utils.py": ""})
    assert rules.shapeless_names(root) == [f"{path}:1: a file is named for what is in it"]


@pytest.mark.parametrize(
    "line",
    [
        f"--index-url {WEB}//example.invalid/simple",
        f"--extra-index-url={DISK}///somewhere",
        f"--find-links {WEB}//example.invalid/",
        f'registry = "{WEB}//example.invalid"',
        f'      "resolved": "{WEB}//example.invalid/a.tgz",',
        f"see https://{rules.HOSTS[0]}/project/x",
    ],
)
def test_a_registry_address_is_found(tmp_path: Path, line: str) -> None:
    """The address of a package registry is found in any text file, however it is set."""
    root = plant(tmp_path, {"requirements/a.txt": f"click==1\n{line}\n"})
    assert rules.registry_addresses(root) == [
        "requirements/a.txt:2: the address of a package registry"
    ]
