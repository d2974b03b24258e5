"""The lab's own reckoning: what it tells the guest, which kernel it takes, what it counts."""

import os
import shlex
import stat
from pathlib import Path

import pytest

from tests.lab import capability, guest, layer, reports, systemd
from tests.lab.kernels import PACKAGES, newest
from tests.lab.login import as_user
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


def test_the_systemd_guest_runs_the_same_command(tmp_path: Path) -> None:
    """The service's program is the one that ends a guest without systemd."""
    systemd.write_layer(str(tmp_path), job("printf", "%s", "$(reboot)"))
    program = (tmp_path / systemd.COMMAND.lstrip("/")).read_text(encoding="utf-8")
    script = guest.init_script(job("printf", "%s", "$(reboot)"))
    assert script.endswith(program[program.index("cd /x/exchange") :])


def test_the_systemd_guest_has_its_user_and_no_other_of_that_number(tmp_path: Path) -> None:
    """In the guest's accounts number 1000 is the lab's user, whoever that is on the host."""
    systemd.write_layer(str(tmp_path), job("true"))
    lines = (tmp_path / "etc/passwd").read_text(encoding="utf-8").splitlines()
    (user,) = (line for line in lines if line.split(":")[2] == "1000")
    assert user == "lab:x:1000:1000:The lab's user:/home/lab:/bin/sh"
    assert len([line for line in lines if line.startswith("messagebus:")]) == 1
    assert lines[0].startswith("root:x:0:0:")


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_systemd_guests_files_can_be_read_by_everyone(tmp_path: Path, umask: int) -> None:
    """The layer's modes are the guest's: they do not depend on who writes it."""
    before = os.umask(umask)
    try:
        systemd.write_layer(str(tmp_path), job("true"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "etc").st_mode) == 0o755
    assert stat.S_IMODE(os.stat(tmp_path / "etc/passwd").st_mode) == 0o644
    assert os.access(tmp_path / systemd.COMMAND.lstrip("/"), os.X_OK)


def test_any_argument_reaches_the_users_command_whole() -> None:
    """A login goes through a shell, which must not read what it is given."""
    argv = as_user(["printf", "%s", "$(reboot) 'x'\n\\"], cwd="/a b", keep=["FOO"])
    assert argv[:4] == ["/usr/sbin/runuser", "-l", "lab", "-w"]
    assert argv[4].endswith(",FOO")
    assert shlex.split(argv[6]) == [
        *("cd", "/a b", "&&", "exec"),
        *("printf", "%s", "$(reboot) 'x'\n\\"),
    ]
    for login in ("bare", "no-bus"):
        assert as_user(["printf", "$(x)"], login)[-2:] == ["printf", "$(x)"]


def test_what_a_machine_lacks_of_the_guests_packages_is_what_apt_would_do() -> None:
    """New packages and upgrades are fetched in the version that apt names; nothing else."""
    said = (
        "The following NEW packages will be installed:\n  crun libyajl2\n"
        "Inst libc6 [2.36-9+deb12u9] (2.36-9+deb12u14 Debian:12.15/oldstable [amd64]) []\n"
        "Remv sysvinit-core [3.06-4]\n"
        "Inst crun (1.8.1-1+deb12u1 Debian:12.15/oldstable [amd64])\n"
        "Conf crun (1.8.1-1+deb12u1 Debian:12.15/oldstable [amd64])\n"
    )
    assert layer.wanted(said) == ["libc6=2.36-9+deb12u14", "crun=1.8.1-1+deb12u1"]


def test_a_file_is_missing_when_no_root_has_it(tmp_path: Path) -> None:
    """What one of the roots has is not missing; all of it is in none."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/crun").touch()
    none = str(tmp_path / "none")
    assert layer.missing([none]) == list(layer.FILES)
    assert layer.missing([none, str(tmp_path)]) == [
        name for name in layer.FILES if name != "usr/bin/crun"
    ]


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
