"""What systemd finds in the guest where it is PID 1: a layer of files over the host's root.

systemd, its bus and its login manager are the host's own or of tests.lab.layer. The services
are not the host's: the guest starts a system bus, logind, the user manager of one ordinary
user, and one service that runs the command as root. Nothing waits for a device.
"""

import os
import shlex
from collections.abc import Sequence

from tests.lab import guest
from tests.lab.guest import Job

USER = "lab"
"""The ordinary user: no group but its own, nothing special but that it lingers."""
UID = 1000
USER_HOME = f"/home/{USER}"

UNITS = "usr/local/lib/systemd/system"
"""Above the distribution's own units, below what an administrator of the guest may write."""
HELD = "/srv/exchange"
"""Where the exchange directory waits while the root changes."""
INIT = (
    "/lib/systemd/systemd --log-target=console --log-level=warning --log-color=no"
    " --show-status=no --default-standard-output=null --default-standard-error=null"
)
"""systemd, with its complaints on the console and no journal to be missed."""
COMMAND = "/usr/local/lib/lab/command"
BOOT_SECONDS = 120
"""What the boot may take before the machine ends itself; the 6.12 guest is emulated."""

TARGET = f"""[Unit]
Description=All that the lab needs
Requires=lab.service
OnFailure=lab-lost.service
JobTimeoutSec={BOOT_SECONDS}
JobTimeoutAction=poweroff-immediate
"""

SERVICE = f"""[Unit]
Description=The command of this run
Requires=basic.target systemd-logind.service user@{UID}.service
After=basic.target systemd-logind.service user@{UID}.service
OnFailure=lab-lost.service
[Service]
Type=exec
ExecStart={COMMAND}
OOMPolicy=continue
TasksMax=infinity
"""

LOST = """[Unit]
Description=The end of a machine that cannot do its work; the console says why
DefaultDependencies=no
[Service]
ExecStart=/bin/busybox poweroff -f
"""

LOGIN = """auth sufficient pam_rootok.so
account required pam_permit.so
session required pam_systemd.so class=user type=tty
"""
"""Whom root makes the user is the user, in a session that logind takes for one of ssh."""

MANAGER = """account required pam_permit.so
session required pam_systemd.so
"""


def init_script(job: Job, layers: Sequence[str]) -> str:
    """Return the init program: an overlay of `layers` over the host's root, mounts, systemd.

    `layers` are directories, the topmost last; one of them is what write_layer has filled.
    """
    return guest.program(
        guest.modules(job), _overlaid(job, layers), guest.mounts(job), _handed_over(job)
    )


def _overlaid(job: Job, layers: Sequence[str]) -> list[str]:
    """Return the steps that make an overlay the root; nothing written there is kept.

    The host's root goes out of sight with the mount point of the old root. What an ordinary
    user must reach may lie below a directory of root's; in the overlay that can be mended.
    """
    above = sorted({top for path in (*job.keep, job.exchange) for top in _way(path)})
    return [
        "$bb mount -t tmpfs -o mode=755 tmp /mnt",
        "$bb mkdir /mnt/upper /mnt/work /mnt/root",
        # Copied, because a lower layer may not lie within another.
        *(f"$bb cp -rd {shlex.quote(layer)}/. /mnt/upper" for layer in layers),
        "$bb mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work none /mnt/root",
        f"$bb chmod a+x {shlex.join('/mnt/root' + path for path in above)}",
        f"$bb mkdir -p /mnt/root{HELD}",
        f"$bb mount --bind {shlex.quote(job.exchange)} /mnt/root{HELD}",
        "$bb pivot_root /mnt/root /mnt/root/mnt",
        "cd /",
        "$bb umount -l /mnt",
        # Neither what the host has enabled or configured is the guest's, nor what waits for
        # devices, keeps a journal or restores a state.
        "$bb rm -rf /etc/systemd /usr/lib/systemd/system-generators",
        "$bb rm -rf /usr/lib/systemd/system/*.target.wants",
        "$bb rm -rf /usr/lib/systemd/user-generators /usr/lib/systemd/user-environment-generators",
        f"$bb mkdir -p {USER_HOME}",
        f"$bb chown {UID}:{UID} {USER_HOME}",
    ]


def _handed_over(job: Job) -> list[str]:
    """Return the last steps: the exchange directory in its place, then systemd."""
    return [
        f"$bb mount --move {HELD} {shlex.quote(job.exchange)}",
        f"exec {INIT} </dev/null >/dev/console 2>&1",
    ]


def _way(path: str) -> list[str]:
    """Return the directories above `path`, and itself, but not the root."""
    names = path.strip("/").split("/")
    return ["/" + "/".join(names[:number]) for number in range(1, len(names) + 1)]


def write_layer(directory: str, job: Job) -> None:
    """Fill `directory` with the files of the guest, the command of `job` among them."""
    files = {
        "etc/fstab": "",
        "etc/group": _table("/etc/group", f"{USER}:x:{UID}:", "messagebus:x:999:"),
        "etc/machine-id": "5e4714e15e4714e15e4714e15e4714e1\n",
        "etc/pam.d/runuser-l": LOGIN,
        "etc/pam.d/systemd-user": MANAGER,
        "etc/passwd": _table(
            "/etc/passwd",
            f"{USER}:x:{UID}:{UID}:The lab's user:{USER_HOME}:/bin/sh",
            "messagebus:x:999:999::/nonexistent:/usr/sbin/nologin",
        ),
        f"var/lib/systemd/linger/{USER}": "",
        f"{UNITS}/lab.target": TARGET,
        f"{UNITS}/lab.service": SERVICE,
        f"{UNITS}/lab-lost.service": LOST,
        COMMAND.lstrip("/"): guest.program(guest.work(job)),
    }
    for name, text in files.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.chmod(path, 0o755 if name in COMMAND else 0o644)
    # A directory of the topmost layer gives the guest's its mode, whatever this umask is.
    for path, _, _ in os.walk(directory):
        os.chmod(path, 0o755)
    os.symlink("lab.target", os.path.join(directory, UNITS, "default.target"))


def _table(path: str, user: str, bus: str) -> str:
    """Return an account table of the host with the guest's user, and the bus's if it lacks it."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = [line for line in file.read().splitlines() if f":{UID}:" not in line]
    has_bus = any(line.startswith("messagebus:") for line in lines)
    return "".join(line + "\n" for line in (*lines, user, *(() if has_bus else (bus,))))
