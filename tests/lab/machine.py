"""One bounded run of a command in a kernel of the lab.

A run owns a directory below .lab/runs, the processes that it starts, and nothing else; all
of it is gone when the run is over, whichever way it ends. The processes die with the lab
even when the lab is killed.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO, NamedTuple, Protocol

from tests.lab import ROOT, LabError, guest, layer, systemd
from tests.lab.kernels import (
    KERNELS,
    MKFS,
    UML,
    Image,
    image,
    qemu_argv,
    uml_argv,
    virtiofsd_argv,
)
from tests.lab.workspace import workspace

DISK_BYTES = 2 << 30
INITS = ("busybox", "systemd")
"""Who can be PID 1: the lab's own script, as it must for the bare kernel, or systemd."""
READY_SECONDS = 20
TICK_SECONDS = 0.05
FAREWELL_SECONDS = 5


class Result(NamedTuple):
    """How a run ended.

    `status` is the command's exit status as a shell says it, None when the command did not
    end; `release` what uname -r said, None when the kernel never got so far; `console` the
    last lines of the kernel's console.
    """

    status: int | None
    release: str | None
    seconds: float
    timed_out: bool
    console: str


class Order(NamedTuple):
    """What to run.

    `timeout` in seconds covers the boot; `bring` maps a file that the command writes into its
    exchange directory (SENTINEL_EXCHANGE) to where the host wants it; `init` is who is PID 1,
    one of INITS.
    """

    argv: Sequence[str]
    cwd: str = ROOT
    env: Mapping[str, str] = {}
    timeout: float = 600
    bring: Mapping[str, str] = {}
    init: str = "busybox"


class Sink(Protocol):
    """Where output of a guest goes as it comes."""

    def write(self, chunk: bytes, /) -> object:
        """Take a piece of it."""

    def flush(self) -> object:
        """Show what was taken."""


class Stopped(Exception):
    """The run was not wanted any more; nothing of it is left."""


class _Watch(NamedTuple):
    """What follows a machine: its time in seconds, the event that ends it early, its output."""

    timeout: float
    stop: threading.Event
    sinks: tuple[Sink, Sink]


def run(
    kernel_name: str,
    order: Order,
    out: Sink | None = None,
    err: Sink | None = None,
    stop: threading.Event | None = None,
) -> Result:
    """Boot the kernel called `kernel_name`, run the order in it, stream its output as it comes.

    A thread that is no longer to wait for it is told by `stop`. Raises Stopped then, LabError
    when the kernel cannot be had or its helpers do not start.
    """
    kernel = KERNELS[kernel_name]
    built = image(kernel)
    with workspace() as work:
        exchange = os.path.join(work, "exchange")
        os.mkdir(exchange)
        # Reachable in the guest alone, where an ordinary user may have something to leave.
        os.chmod(exchange, 0o1777)
        for name in (guest.OUTPUT, guest.ERRORS):
            with open(os.path.join(exchange, name), "wb"):
                pass
        env = {
            "SENTINEL_KERNEL": kernel_name,
            "SENTINEL_INIT": order.init,
            "SENTINEL_EXCHANGE": exchange,
            "SENTINEL_LAB_MODULES": os.path.dirname(built.kernel),
            **order.env,
        }
        keep = (ROOT, sys.prefix, sys.base_prefix, order.cwd)
        job = guest.Job(order.argv, order.cwd, env, exchange, keep, built.modules, kernel.disk)
        _write_init(os.path.join(work, "init"), _init_script(order, job, work))
        _make_disk(os.path.join(work, "disk"))
        sinks = (out or sys.stdout.buffer, err or sys.stderr.buffer)
        result = _boot(built, work, _Watch(order.timeout, stop or threading.Event(), sinks))
        for inside, outside in order.bring.items():
            with suppress(FileNotFoundError):
                shutil.copyfile(os.path.join(exchange, inside), outside)
        return result


def _init_script(order: Order, job: guest.Job, work: str) -> str:
    """Return the guest's init program; write the layer that systemd needs beside it."""
    if order.init == "busybox":
        return guest.init_script(job)
    own = os.path.join(work, "layer")
    systemd.write_layer(own, job)
    return systemd.init_script(job, [layer.packages(), own])


def _boot(built: Image, work: str, watch: _Watch) -> Result:
    """Start the machine, follow it to its end or the deadline, and say how it went."""
    exchange = os.path.join(work, "exchange")
    began = time.monotonic()
    with _machine(built, work) as vm:
        finished = _follow(vm, exchange, watch, began + watch.timeout)
        if finished:
            # The command's status is safe; a machine that will not power off is ended.
            with suppress(subprocess.TimeoutExpired):
                vm.wait(FAREWELL_SECONDS)
    status = _read(os.path.join(exchange, guest.STATUS))
    return Result(
        status=int(status) if status else None,
        release=(_read(os.path.join(exchange, guest.RELEASE)) or "").strip() or None,
        seconds=time.monotonic() - began,
        timed_out=not finished,
        console="\n".join((_read(os.path.join(work, "console")) or "").splitlines()[-20:]),
    )


def _follow(vm: subprocess.Popen[bytes], exchange: str, watch: _Watch, deadline: float) -> bool:
    """Copy the guest's output to the sinks until its status is there or the machine is gone.

    Returns False when the deadline came first, raises Stopped. A file on a shared root gives no
    wake-up to the host, so the files are looked at every TICK_SECONDS; the machine's end wakes
    at once.
    """
    ends = os.pidfd_open(vm.pid)
    try:
        with _tails(exchange) as tails:
            while True:
                gone = bool(select.select([ends], [], [], TICK_SECONDS)[0])
                done = gone or os.path.exists(os.path.join(exchange, guest.STATUS))
                for tail, sink in zip(tails, watch.sinks, strict=True):
                    if chunk := tail.read():
                        sink.write(chunk)
                        sink.flush()
                if watch.stop.is_set():
                    raise Stopped
                if done or time.monotonic() > deadline:
                    return done
    finally:
        os.close(ends)


@contextmanager
def _machine(built: Image, work: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the machine and what it needs; end them all on the way out, by pid."""
    if built.kernel == UML:
        with _process(uml_argv(work), work, "console") as vm:
            yield vm
        return
    socket = os.path.join(work, "root.socket")
    with _process(virtiofsd_argv(socket), work, "virtiofsd") as server:
        _await_socket(socket, server, work)
        with _process(qemu_argv(built, work, socket), work, "console") as vm:
            yield vm


@contextmanager
def _process(argv: list[str], work: str, log: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `argv` until the end of the block, with all the processes that it starts.

    It has a session of its own, so that a keyboard interrupt reaches the lab alone. User-mode
    Linux has one host process per guest process and helpers that outlive it when it is
    killed; root gives it a process namespace, which ends as a whole, with the lab at the
    latest. A shell is its first process: a machine that is number one cannot end itself.
    """
    wrap = ["setpriv", "--pdeathsig", "KILL", "--"]
    if os.geteuid() == 0:
        wrap += ["unshare", "--pid", "--fork", "--kill-child", "--"]
        wrap += ["sh", "-c", '"$@"; exit $?', "sh"]
    with open(os.path.join(work, log), "wb") as out:
        process = subprocess.Popen(
            [*wrap, *argv],
            cwd=work,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": work, "TMPDIR": "/dev/shm"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        deadline = time.monotonic() + FAREWELL_SECONDS
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            while time.monotonic() < deadline:
                os.killpg(process.pid, 0)
                time.sleep(TICK_SECONDS)


def end_on_sigterm() -> None:
    """Let SIGTERM unwind the lab like a keyboard interrupt, so that it cleans up after itself."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def _tails(exchange: str) -> Iterator[list[BinaryIO]]:
    """Open the guest's output files for reading while they grow."""
    with (
        open(os.path.join(exchange, guest.OUTPUT), "rb") as output,
        open(os.path.join(exchange, guest.ERRORS), "rb") as errors,
    ):
        yield [output, errors]


def _write_init(path: str, text: str) -> None:
    """Write the guest's init program, executable."""
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as script:
        script.write(text)
    os.chmod(path, 0o700)


def _make_disk(path: str) -> None:
    """Make the scratch disk: a sparse file with an empty ext4 on it."""
    with open(path, "wb") as disk:
        disk.truncate(DISK_BYTES)
    argv = [MKFS, "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", path]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def _await_socket(path: str, server: subprocess.Popen[bytes], work: str) -> None:
    """Wait until `server` listens at `path`. Raises LabError with its words when it does not."""
    deadline = time.monotonic() + READY_SECONDS
    while not os.path.exists(path):
        if server.poll() is not None or time.monotonic() > deadline:
            words = (_read(os.path.join(work, "virtiofsd")) or "no reason given").strip()
            raise LabError(f"virtiofsd does not start: {words}: the lab's 6.12 needs root")
        time.sleep(TICK_SECONDS)


def _read(path: str) -> str | None:
    """Return the text of a file, None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None
