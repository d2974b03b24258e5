"""Run a command in a real cgroup v2 kernel, for people.

    .venv/bin/python -m tests.lab --kernel 6.1 -- CMD [ARG...]      4 s and the command
    .venv/bin/python -m tests.lab --kernel 6.12 -- CMD [ARG...]     10 s, CPU 16 times slower

The command runs as root, with this machine's files under it read-only, in the same working
directory and with the same .venv; /tmp, /run, /var/tmp and /dev/shm start empty; there is an
empty ext4 disk at $SENTINEL_SCRATCH. Its output streams here, its exit status is the exit
status. To bring a file back, write it to $SENTINEL_EXCHANGE and name it with --bring.

With --init systemd, systemd is PID 1 (5 s and the command) and the command part of a
service; with --user as well it runs as an ordinary user, in a login session with a user
manager and a bus, or bare (as from cron or sudo), or without any bus. All of the root can be
written to then, and nothing of it is kept.

    .venv/bin/python -m tests.lab -- sh -c 'mkdir /sys/fs/cgroup/a && ls /sys/fs/cgroup/a'
    .venv/bin/python -m tests.lab --init systemd --user -- systemctl --user status
    .venv/bin/python -m tests.lab -- .venv/bin/pytest tests/kernel/test_lab.py
"""

import argparse
import os
import sys

from tests.lab import LabError, machine
from tests.lab.kernels import KERNELS
from tests.lab.login import LOGINS, as_user

EXIT_TIMEOUT = 124
EXIT_LAB = 125


def main() -> int:
    """Run the command line; return the command's exit status, 124 or 125."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kernel", choices=KERNELS, default="6.1")
    parser.add_argument("--init", choices=machine.INITS, default="busybox")
    parser.add_argument("--user", nargs="?", choices=LOGINS, const="session")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS")
    parser.add_argument("--env", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--bring", action="append", default=[], metavar="FILE[=TO]")
    parser.add_argument("command", nargs="+", metavar="CMD")
    options = parser.parse_args()
    if options.user and options.init != "systemd":
        parser.error("--user needs --init systemd: only there is somebody to log in")
    machine.end_on_sigterm()
    bring = {name: to or name for name, _, to in (item.partition("=") for item in options.bring)}
    env = dict(item.split("=", 1) for item in options.env)
    command = options.command
    if options.user:
        command = as_user(command, options.user, os.getcwd(), env)
    order = machine.Order(command, os.getcwd(), env, options.timeout, bring, options.init)
    try:
        result = machine.run(options.kernel, order)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return EXIT_LAB
    kernel = f"kernel {result.release or options.kernel + ' (never booted)'}"
    if result.status is not None:
        print(f"lab: {kernel}: status {result.status}, {result.seconds:.1f} s", file=sys.stderr)
        return result.status
    why = f"no end within {options.timeout:g} s" if result.timed_out else "the machine went away"
    print(f"lab: {kernel}: {why}; its console said:\n{result.console}", file=sys.stderr)
    return EXIT_TIMEOUT if result.timed_out else EXIT_LAB


if __name__ == "__main__":
    sys.exit(main())
