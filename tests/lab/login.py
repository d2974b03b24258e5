"""Command lines that run a command as the ordinary user of the systemd guest.

They are for root in the guest, where each is one program with its arguments. The command
keeps root's working directory, its streams, and the variables that say how the lab is.
"""

import os
import shlex
from collections.abc import Iterable, Sequence

from tests.lab import guest
from tests.lab.systemd import UID, USER, USER_HOME

LOGINS = ("session", "bare", "no-bus")
"""How the user came in.

session   a login session, as by ssh: its own scope, which is not delegated; the user's
          manager and bus are there, and the variables that say where
bare      as by cron, sudo or a service with User=: in the caller's cgroup, with no variable
          that names a bus, though the user lingers and so /run/user/1000/bus is there
no-bus    the same, and no bus: nobody lingers, as it seems from inside
"""

KEPT = (
    *(name for name in guest.ENVIRONMENT if name.startswith(("LANG", "PY", "SENTINEL_"))),
    *("SENTINEL_EXCHANGE", "SENTINEL_INIT", "SENTINEL_KERNEL", "SENTINEL_LAB_MODULES"),
    *("SENTINEL_REQUIRE", "CI"),
)
"""The variables of the lab; what else there is, a login forgets, as logins do."""


def as_user(
    argv: Sequence[str], login: str = "session", cwd: str = "", keep: Iterable[str] = ()
) -> list[str]:
    """Return the command line that runs `argv` as the user of the guest who came by `login`.

    `cwd` is the current directory when it is not given; `keep` names variables that survive
    a login besides KEPT. Its exit status is the command's, 128 and more for a signal.
    """
    if login == "session":
        kept = ",".join(dict.fromkeys((*KEPT, *keep)))
        command = f"cd {shlex.quote(cwd or os.getcwd())} && exec {shlex.join(argv)}"
        return ["/usr/sbin/runuser", "-l", USER, "-w", kept, "-c", command]
    account = [f"HOME={USER_HOME}", f"USER={USER}", f"LOGNAME={USER}"]
    number = [f"--reuid={UID}", f"--regid={UID}", "--init-groups"]
    bare = ["/usr/bin/setpriv", *number, "/usr/bin/env", *account, *argv]
    if login == "bare":
        return bare
    empty = "mount -t tmpfs -o mode=755 none"
    hide = f'{empty} /run/user && {empty} /var/lib/systemd/linger && exec "$@"'
    return ["/usr/bin/unshare", "--mount", "--", "/bin/sh", "-c", hide, "sh", *bare]
