"""The kernel tests, on every kernel that they are for.

Where this machine has cgroup v2 with memory, and root or delegation, they run here;
elsewhere each kernel of the lab is booted once and runs them all. The tests that need systemd
run in a guest of the lab wherever this is. Where they are required (CI=true or
SENTINEL_REQUIRE=cgroup) nothing may be missing: no kernel, no test, no skip.

    .venv/bin/python -m tests.lab.suite                                   what make kernel does
    .venv/bin/python -m tests.lab.suite --kernel 6.1 -- tests/kernel/test_lab.py -k lock
"""

import argparse
import compileall
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import NamedTuple

from tests.lab import ROOT, LabError, capability, machine
from tests.lab.kernels import KERNELS, missing_packages
from tests.lab.reports import REPORTS, Counts, counts, report_path


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
    "6.12": Part("6.12", "busybox", "kernel", KERNEL_TESTS, 900),
    "6.1-systemd": Part("6.1", "systemd", "systemd", ("tests/systemd",), 400),
}
"""What make kernel boots, by name."""

LAST_WORDS = 45
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
    results = [_natively(options.pytest or _existing(KERNEL_TESTS))] if here else []
    results += [
        _in_lab(name, part, options.pytest or _existing(part.tests)) for name, part in parts.items()
    ]
    return 0 if all(results) else 1


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


def _natively(wanted: list[str]) -> bool:
    """Run the tests on this machine's own kernel."""
    release = os.uname().release
    report = report_path(f"kernel-{capability.plain(release)}")
    _forget(report)
    argv = [sys.executable, *PYTEST, "-m", "kernel", f"--junitxml={report}", *wanted]
    status = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode
    return _verdict(capability.plain(release), status, counts(report))


def _in_lab(name: str, part: Part, wanted: list[str]) -> bool:
    """Run the tests in one boot of the lab."""
    report = report_path(f"kernel-{name}")
    _forget(report)
    argv = ["sh", "-c", 'exec "$@" --junitxml="$SENTINEL_EXCHANGE/report.xml"', "sh"]
    # An interrupt ends pytest with its report and with where it was; the lab's end does not.
    argv += ["timeout", "--foreground", "--signal=INT", f"{part.timeout - LAST_WORDS}"]
    argv += [sys.executable, *PYTEST, "-m", part.kind, *wanted]
    passed_on = ("CI", "SENTINEL_REQUIRE")
    env = {key: os.environ[key] for key in passed_on if key in os.environ}
    bring = {"report.xml": report}
    order = machine.Order(argv, env=env, timeout=part.timeout, bring=bring, init=part.init)
    print(f"kernel {name}: booting", flush=True)
    try:
        result = machine.run(part.kernel, order)
    except LabError as error:
        print(f"kernel {name}: the tests did not run: {error}", file=sys.stderr, flush=True)
        return not capability.required()
    if result.status == INTERRUPTED:
        print(f"kernel {name}: the tests were interrupted, they have {part.timeout} s")
    if result.status is None:
        why = f"no end within {part.timeout} s" if result.timed_out else "the machine went away"
        print(f"kernel {name}: {why}; its console said:\n{result.console}", file=sys.stderr)
    release = capability.plain(result.release or part.kernel)
    booted = f"{release} with systemd" if part.init == "systemd" else release
    return _verdict(booted, result.status, counts(report))


def _verdict(release: str, status: int | None, found: Counts) -> bool:
    """Print the line of one kernel and tell whether it is good."""
    print(
        f"kernel {release}: {found.passed} passed, {found.failed} failed, {found.skipped} skipped",
        flush=True,
    )
    if status not in {0, NOTHING_SELECTED}:
        return False
    if capability.required() and (found.skipped or not found.passed):
        print("a kernel test that does not run is a failure here (CI or SENTINEL_REQUIRE)")
        return False
    return True


def _forget(report: str) -> None:
    """Remove the report of an earlier run, so that it cannot pass for this one's."""
    if os.path.exists(report):
        os.unlink(report)


if __name__ == "__main__":
    sys.exit(main())
