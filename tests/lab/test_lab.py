"""The lab's own reckoning: what it tells the guest, which kernel it takes, what it counts."""

import shlex
from pathlib import Path

import pytest

from tests.lab import capability, guest, reports
from tests.lab.kernels import PACKAGES, newest
from tests.lab.reports import Counts


def job(*argv: str, keep: tuple[str, ...] = ()) -> guest.Job:
    """Return a job that runs `argv`."""
    return guest.Job(argv, "/work", {"KEY": "a b"}, "/x/exchange", keep, ("/m/a.ko",), "/dev/vda")


def test_any_argument_and_environment_reaches_the_command_whole() -> None:
    """The init script passes arguments and variables through a shell that must not read them."""
    script = guest.init_script(job("printf", "%s", "$(reboot) 'x'\n\\"))
    command = script[script.index("exec /usr/bin/env") :]
    words = shlex.split(command)
    assert "KEY=a b" in words
    start = words.index("/usr/bin/setsid")
    assert words[start + 1 : start + 4] == ["printf", "%s", "$(reboot) 'x'\n\\"]


def test_a_checkout_in_tmp_stays_visible() -> None:
    """Directories under a place that the guest sees empty are moved over it, parents once."""
    assert guest.hidden(["/tmp/a/b", "/tmp/a", "/work", "/tmpx", "/run/c", "/tmp/a"]) == [
        "/run/c",
        "/tmp/a",
    ]
    script = guest.init_script(job("true", keep=("/tmp/a",)))
    hold = script.index("mount --bind /tmp/a /dev/lab/0")
    assert hold < script.index("mount -t tmpfs") < script.index("mount --move /dev/lab/0 /tmp/a")


def test_the_newest_kernel_is_the_highest_number() -> None:
    """The point release is a number (117 > 99), and only the plain cloud kernel will do."""
    names = [f"linux-image-6.12.{point}+deb12-cloud-amd64" for point in (99, 117, 100)]
    others = ["linux-image-6.12.200+deb12-cloud-amd64-dbg", "linux-image-6.12.201+deb12-amd64"]
    assert newest(names + others) == names[1]
    assert newest(others) is None


@pytest.mark.parametrize(
    ("release", "wanted", "fits"),
    [
        ("6.1.176", ["6.1"], True),
        ("6.12.117+deb12-cloud-amd64", ["6.1"], False),
        ("6.12.117+deb12-cloud-amd64", ["6.1", "6.12"], True),
        ("6.12-rc1", ["6.12"], True),
    ],
)
def test_a_release_is_not_its_longer_namesake(
    release: str, wanted: list[str], *, fits: bool
) -> None:
    """6.1 means 6.1.x and not 6.12.x when a kernel test is limited to it."""
    assert capability.is_release(release, wanted) is fits


@pytest.mark.parametrize(
    ("variables", "required"),
    [
        ({}, False),
        ({"CI": "true"}, True),
        ({"CI": "false"}, False),
        ({"SENTINEL_REQUIRE": "cgroup"}, True),
        ({"SENTINEL_REQUIRE": "rss"}, False),
    ],
)
def test_ci_and_a_wish_require_the_kernel_tests(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, required: bool
) -> None:
    """CI=true and SENTINEL_REQUIRE=cgroup, and nothing else, make a missing kernel a failure."""
    for name in ("CI", "SENTINEL_REQUIRE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert capability.required() is required


def test_counts_are_read_from_the_report(tmp_path: Path) -> None:
    """An error counts as failed; a report that is not there counts nothing."""
    report = tmp_path / "a.xml"
    report.write_text(
        '<testsuites><testsuite tests="10" failures="2" errors="1" skipped="3"/></testsuites>',
        encoding="utf-8",
    )
    assert reports.counts(str(report)) == Counts(passed=4, failed=3, skipped=3)
    assert reports.counts(str(tmp_path / "b.xml")) == Counts(0, 0, 0)
    assert reports.total([Counts(4, 3, 3), Counts(1, 0, 0)]) == Counts(5, 3, 3)
    assert reports.total([]) == Counts(0, 0, 0)


def test_make_installs_every_package_that_the_lab_uses() -> None:
    """The Makefile's list of packages is the lab's own."""
    with open("Makefile", encoding="utf-8") as file:
        (line,) = (line for line in file if line.startswith("LAB_PACKAGES :="))
    assert line.split()[2:] == sorted(set(PACKAGES.values()))
