"""`sentinel completion`: the shell's part of completing words, printed or installed."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click
import click.shell_completion
from click.shell_completion import ShellComplete, ZshComplete

from sentinel.model.errors import SentinelError, UsageFault

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_SENTINEL_COMPLETE"

_HELP = """\
Complete verbs, options and the names of live runs on Tab.

`sentinel completion install` puts it where the shell of $SHELL, or SHELL, looks for it, and
says what is left to do. `sentinel completion bash` (zsh, fish) prints it instead.
"""

_BASH = """\
%(complete_func)s() {
    local response type value
    response=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    COMPREPLY=()
    while IFS=, read -r type value; do
        # Names are data: whatever the shell would take for its own is quoted.
        [[ $type == plain ]] && printf -v value %%q "$value" && COMPREPLY+=("$value")
    done <<< "$response"
    # Nothing of ours: a file, as in the command that is to be run.
    [[ ${#COMPREPLY[@]} -gt 0 ]] || compopt -o default
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class FishComplete(click.shell_completion.FishComplete):
    """What is printed for fish is click's, but for a comma in a name."""

    source_template = click.shell_completion.FishComplete.source_template.replace(
        'string split ","', 'string split -m 1 ","'
    )


class BashComplete(ShellComplete):
    """What is printed for bash; what is answered to it is click's."""

    name = "bash"
    source_template = _BASH


_KINDS: Mapping[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "fish": FishComplete,
    "zsh": ZshComplete,
}


def command() -> click.Command:
    """The verb for click."""
    what = click.Argument(["what"], type=click.Choice([*SHELLS, "install"]))
    shell = click.Argument(["shell"], required=False, type=click.Choice(SHELLS))
    return click.Command(
        "completion",
        params=[what, shell],
        callback=_complete,
        help=_HELP,
        short_help="Complete words on Tab, in bash, zsh and fish.",
    )


def _complete(*, what: str, shell: str | None) -> int:
    if what == "install":
        path, advice = install(shell or shell_of(os.environ), os.environ)
        click.echo(f"written: {path}")
        click.echo(advice)
    elif shell is not None:
        raise UsageFault(f"one shell too many: {shell!r}", f"write: sentinel completion {what}")
    else:
        click.echo(script(what), nl=False)
    return 0


def script(shell: str) -> str:
    """What `shell` must read to complete the words of sentinel."""
    kind = _KINDS[shell](click.Command("sentinel"), {}, "sentinel", _VARIABLE)
    return kind.source().rstrip("\n") + "\n"


def shell_of(environment: Mapping[str, str]) -> str:
    """The shell that $SHELL names. Raises UsageFault when it is none of ours."""
    shell = os.path.basename(environment.get("SHELL", ""))
    if shell not in SHELLS:
        words = " ".join(f"{one}," for one in SHELLS[:-1]).rstrip(",") + f" or {SHELLS[-1]}"
        raise UsageFault(
            f"SHELL: {shell!r} cannot be completed in",
            f"write: sentinel completion install SHELL, which is {words}",
        )
    return shell


def install(shell: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Write the script where `shell` looks for it; the path, and what is left to do.

    Raises SentinelError.
    """
    path, advice = _destination(shell, environment)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(script(shell))
    except OSError as error:
        remedy = f"write it elsewhere: sentinel completion {shell} > FILE"
        raise SentinelError(f"cannot write {path!r}: {error.strerror}", remedy) from error
    return path, advice


def _destination(shell: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Where each shell reads a user's completions on its own (bash, fish), or can be told to."""
    home = environment.get("HOME") or os.path.expanduser("~")
    again = "It works in every new shell"
    if shell == "bash":
        data = _absolute(environment.get("XDG_DATA_HOME")) or os.path.join(home, ".local/share")
        path = os.path.join(data, "bash-completion/completions/sentinel")
        return path, f"{again} that loads bash-completion; in others: source {path}"
    if shell == "fish":
        config = _absolute(environment.get("XDG_CONFIG_HOME")) or os.path.join(home, ".config")
        return os.path.join(config, "fish/completions/sentinel.fish"), f"{again}."
    directory = os.path.join(environment.get("ZDOTDIR") or home, ".zfunc")
    advice = f"Once, before compinit in .zshrc: fpath+=({directory})"
    return os.path.join(directory, "_sentinel"), advice


def _absolute(path: str | None) -> str:
    """A path of the XDG variables; relative ones do not count, as that specification says."""
    return path if path and os.path.isabs(path) else ""
