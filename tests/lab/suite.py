"""The kernel tests, on every kernel that they are for.

Where this machine has cgroup v2 with memory, and root or delegation, they run here;
elsewhere each kernel of the lab is booted once and runs them all. The tests that need systemd
run in a guest of the lab wherever this is. Two guests run side by side. Where the tests are
required (CI=true or SENTINEL_REQUIRE=cgroup) nothing may be missing: no kernel, no test, no skip.

    .venv/bin/python -m tests.lab.suite                                   what make kernel does
    .venv/bin/python -m tests.lab.suite --kernel 6.1 -- tests/kernel/test_lab.py -k lock
"""

import argparse
import compileall
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import NamedTuple

from tests.lab import ROOT, LabError, capability, layer, machine
from tests.lab.kernels import KERNELS, image, missing_packages
from tests.lab.reports import REPORTS, Counts, counts, report_path
from tests.lab.screen import Screen, Voice


class Part(NamedTuple):
    """One boot of the lab: a kernel, its PID 1, the kind of its tests and where they live.

    `timeout` in seconds is for the boot and all of the tests.
    """

    kernel: str
    init: str
    kind: str
    tests: tuple[str, ...]
    timeout: int


KERNEL_TESTS = ("tests/kernel", "tests/contract")
"""A directory of their own, and a suite shared by all backends."""

PARTS = {
    "6.1": Part("6.1", "busybox", "kernel", KERNEL_TESTS, 900),
    "6.12": Part("6.12", "busybox", "kernel", KERNEL_TESTS, 1200),
    "6.1-systemd": Part("6.1", "systemd", "systemd", ("tests/systemd",), 900),
}
"""What make kernel boots, by name; with time for a machine that is 2.5 times slower than most."""


class Tally(NamedTuple):
    """What became of one part: on which kernel it was, its tests, its seconds; good or not."""

    kernel: str
    found: Counts
    seconds: float
    good: bool


GUESTS = 2
"""How many guests run at a time: each keeps a CPU busy."""

LAST_WORDS = 90
"""Seconds before the end of that time, boot included, in which the tests are interrupted."""

INTERRUPTED = 124
"""timeout's exit status when it had to interrupt."""

NOTHING_SELECTED = 5
"""pytest's exit status when no test fits, as when one test for another kernel was asked for."""

PYTEST = ("-m", "pytest", "-v", "--durations=10", "-o", "faulthandler_timeout=120")


def main() -> int:
    """Run the suite; return 0 when nothing failed and nothing that is required is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.suite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kernel", choices=PARTS, action="append", help="one boot of the lab")
    parser.add_argument("--missing", action="store_true", help="name the packages that are")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest instead of all tests")
    options = parser.parse_args()
    machine.end_on_sigterm()
    here = capability.native() and not options.kernel
    parts = {name: PARTS[name] for name in options.kernel or PARTS}
    if here:
        parts = {name: part for name, part in parts.items() if part.kind != "kernel"}
    if options.missing:
        print(*missing_packages([KERNELS[part.kernel] for part in parts.values()]))
        return 0
    os.makedirs(REPORTS, exist_ok=True)
    everything = [*KERNEL_TESTS, *(path for part in parts.values() for path in part.tests)]
    if not _prepared(options.pytest or _existing(everything)):
        return 1
    began = [_natively(options.pytest or _existing(KERNEL_TESTS))] if here else []
    tallies = [*began, *_side_by_side(parts, options.pytest)]
    _print_table(tallies)
    return 0 if all(tally.good for tally in tallies) else 1


def _existing(paths: Iterable[str]) -> list[str]:
    """Return those of `paths` that there are in the checkout, each once."""
    return [path for path in dict.fromkeys(paths) if os.path.exists(os.path.join(ROOT, path))]


def _prepared(wanted: list[str]) -> bool:
    """Compile everything that a guest will run, on a CPU that is not emulated.

    Collecting the tests makes pytest write its own compiled form of them, and says here,
    before any boot, when one of them cannot even be imported.
    """
    for package in ("sentinel", "tests"):
        compileall.compile_dir(os.path.join(ROOT, package), quiet=2)
    for argv in (("tests.victims.build",), ("pytest", "--collect-only", "-q", *wanted)):
        done = subprocess.run(
            [sys.executable, "-m", *argv], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(done.stdout + done.stderr, file=sys.stderr)
            return False
    return True


def _natively(wanted: list[str]) -> Tally:
    """Run the tests on this machine's own kernel."""
    release = capability.plain(os.uname().release)
    report = report_path(f"kernel-{release}")
    _forget(report)
    began = time.monotonic()
    argv = [sys.executable, *PYTEST, "-m", "kernel", f"--junitxml={report}", *wanted]
    status = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode
    found = counts(report)
    return Tally(release, found, time.monotonic() - began, _is_good(status, found))


def _side_by_side(parts: Mapping[str, Part], wanted: list[str]) -> list[Tally]:
    """Run the parts in the lab, GUESTS of them at a time, the longest first."""
    _fetch(parts.values())
    stop = threading.Event()
    screen = Screen(sys.stdout.buffer, max(map(len, parts), default=0), time.monotonic)
    longest_first = sorted(parts, key=lambda name: -parts[name].timeout)
    with ThreadPoolExecutor(GUESTS) as pool:
        running = {}
        for name in longest_first:
            tests = wanted or _existing(parts[name].tests)
            running[name] = pool.submit(_in_lab, name, parts[name], tests, screen, stop)
        try:
            while wait(running.values(), timeout=1).not_done:
                screen.show_unfinished()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    return [running[name].result() for name in parts]


def _fetch(parts: Iterable[Part]) -> None:
    """Fetch what the parts need, one after the other: a package manager works for one at a time."""
    for part in parts:
        with suppress(LabError):  # told by name when the part needs it
            image(KERNELS[part.kernel])
            if part.init == "systemd":
                layer.packages()


def _in_lab(
    name: str, part: Part, wanted: list[str], screen: Screen, stop: threading.Event
) -> Tally:
    """Run the tests in one boot of the lab."""
    report = report_path(f"kernel-{name}")
    _forget(report)
    voice = screen.voice(name)
    voice.say("booting")
    began = time.monotonic()
    bring = {"report.xml": report}
    argv, env = _in_guest(part, wanted)
    order = machine.Order(argv, env=env, timeout=part.timeout, bring=bring, init=part.init)
    try:
        result = machine.run(part.kernel, order, voice, screen.voice(name), stop)
    except LabError as error:
        voice.say(f"the tests did not run: {error}")
        return Tally(name, Counts(), time.monotonic() - began, not capability.required())
    _explain(part, result, voice)
    release = capability.plain(result.release or part.kernel)
    booted = f"{release} with systemd" if part.init == "systemd" else release
    found = counts(report)
    voice.say(f"{found.passed} passed, {found.failed} failed, {found.skipped} skipped on {booted}")
    return Tally(booted, found, result.seconds, _is_good(result.status, found))


def _in_guest(part: Part, wanted: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the guest's command line and its additions to the environment."""
    argv = ["sh", "-c", 'exec "$@" --junitxml="$SENTINEL_EXCHANGE/report.xml"', "sh"]
    # An interrupt ends pytest with its report and with where it was; the lab's end does not.
    argv += ["timeout", "--foreground", "--signal=INT", f"{part.timeout - LAST_WORDS}"]
    argv += [sys.executable, *PYTEST, "-m", part.kind, *wanted]
    passed_on = ("CI", "SENTINEL_REQUIRE")
    return argv, {key: os.environ[key] for key in passed_on if key in os.environ}


def _explain(part: Part, result: machine.Result, voice: Voice) -> None:
    """Say why the tests have no end of their own, when they have none."""
    if result.status == INTERRUPTED:
        voice.say(f"the tests were interrupted, they have {part.timeout} s")
    if result.status is None:
        why = f"no end within {part.timeout} s" if result.timed_out else "the machine went away"
        voice.say(f"{why}; its console said:\n{result.console}")


def _is_good(status: int | None, found: Counts) -> bool:
    """Tell whether nothing failed, and all that is required was run."""
    if status not in {0, NOTHING_SELECTED}:
        return False
    return not capability.required() or (found.passed > 0 and not found.skipped)


def _print_table(tallies: list[Tally]) -> None:
    """Print how many tests ran on which kernel."""
    print(f"\n{'kernel tests on':24} passed  failed  skipped  minutes")
    for kernel, found, seconds, good in tallies:
        print(
            f"{kernel:24} {found.passed:6}  {found.failed:6}  {found.skipped:7}"
            f"  {seconds / 60:7.1f}{'' if good else '  not good'}"
        )
    if capability.required() and any(
        tally.found.skipped or not tally.found.passed for tally in tallies
    ):
        print("a kernel test that does not run is a failure here (CI or SENTINEL_REQUIRE)")
    sys.stdout.flush()


def _forget(report: str) -> None:
    """Remove the report of an earlier run, so that it cannot pass for this one's."""
    if os.path.exists(report):
        os.unlink(report)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
