"""The kernel tests, on every kernel that they are for.

Where this machine has cgroup v2 with memory, and root or delegation, they run here;
elsewhere each kernel of the lab is booted once and runs them all. Where they are required
(CI=true or SENTINEL_REQUIRE=cgroup) nothing may be missing: no kernel, no test, no skip.

    .venv/bin/python -m tests.lab.suite                                   what make kernel does
    .venv/bin/python -m tests.lab.suite --kernel 6.1 -- tests/kernel/test_lab.py -k lock
"""

import argparse
import compileall
import os
import subprocess
import sys

from tests.lab import ROOT, LabError, capability, machine
from tests.lab.kernels import KERNELS, missing_packages
from tests.lab.reports import REPORTS, Counts, counts, report_path

TIMEOUTS = {"6.1": 900, "6.12": 900}
"""Seconds that a kernel has for its boot and all of its tests."""

LAST_WORDS = 45
"""Seconds before the end of that time, boot included, in which the tests are interrupted."""

TESTS = ("tests/kernel", "tests/contract")
"""Where kernel tests live: a directory of their own, and a suite shared by all backends."""

INTERRUPTED = 124
"""timeout's exit status when it had to interrupt."""

NOTHING_SELECTED = 5
"""pytest's exit status when no test fits, as when one test for another kernel was asked for."""

PYTEST = ("-m", "pytest", "-v", "-m", "kernel", "--durations=10", "-o", "faulthandler_timeout=120")


def main() -> int:
    """Run the suite; return 0 when nothing failed and nothing that is required is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.suite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kernel", choices=KERNELS, action="append", help="one kernel of the lab")
    parser.add_argument("--missing", action="store_true", help="name the packages that are")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest instead of all tests")
    options = parser.parse_args()
    machine.end_on_sigterm()
    here = capability.native() and not options.kernel
    names = options.kernel or list(KERNELS)
    if options.missing:
        print(*missing_packages([] if here else [KERNELS[name] for name in names]))
        return 0
    wanted = options.pytest or [path for path in TESTS if os.path.exists(os.path.join(ROOT, path))]
    os.makedirs(REPORTS, exist_ok=True)
    if not _prepared(wanted):
        return 1
    if here:
        return 0 if _natively(wanted) else 1
    results = [_in_lab(name, wanted) for name in names]
    return 0 if all(results) else 1


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
    argv = [sys.executable, *PYTEST, f"--junitxml={report}", *wanted]
    status = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode
    return _verdict(release, status, counts(report))


def _in_lab(name: str, wanted: list[str]) -> bool:
    """Run the tests in one kernel of the lab."""
    report = report_path(f"kernel-{name}")
    _forget(report)
    argv = ["sh", "-c", 'exec "$@" --junitxml="$SENTINEL_EXCHANGE/report.xml"', "sh"]
    # An interrupt ends pytest with its report and with where it was; the lab's end does not.
    argv += ["timeout", "--foreground", "--signal=INT", f"{TIMEOUTS[name] - LAST_WORDS}"]
    argv += [sys.executable, *PYTEST, *wanted]
    passed_on = ("CI", "SENTINEL_REQUIRE")
    env = {key: os.environ[key] for key in passed_on if key in os.environ}
    order = machine.Order(argv, env=env, timeout=TIMEOUTS[name], bring={"report.xml": report})
    print(f"kernel {name}: booting", flush=True)
    try:
        result = machine.run(name, order)
    except LabError as error:
        print(f"kernel {name}: the tests did not run: {error}", file=sys.stderr, flush=True)
        return not capability.required()
    if result.status == INTERRUPTED:
        print(f"kernel {name}: the tests were interrupted, they have {TIMEOUTS[name]} s")
    if result.status is None:
        why = f"no end within {TIMEOUTS[name]} s" if result.timed_out else "the machine went away"
        print(f"kernel {name}: {why}; its console said:\n{result.console}", file=sys.stderr)
    return _verdict(result.release or name, result.status, counts(report))


def _verdict(release: str, status: int | None, found: Counts) -> bool:
    """Print the line of one kernel and tell whether it is good."""
    print(
        f"kernel {capability.plain(release)}: {found.passed} passed, {found.failed} failed,"
        f" {found.skipped} skipped",
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
