"""What a lab in namespaces needs of its machine, and what is said where it is not there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from testbed.lab.engine import LabHost
from testbed.lab.namespace import machine
from testbed.lab.namespace.refusal import explain
from testbed.model.errors import EngineError, Unsupported


def hosts(*images: str) -> list[LabHost]:
    return [LabHost(image, {}, "cubic") for image in images]


def test_missing_programs_give_one_command() -> None:
    """All packages in one command, each once; the compiler brings its headers."""
    assert machine.install_command(["cc", "make", "tcpdump", "ip"]) == (
        "apt-get install gcc libc6-dev libxxhash-dev make tcpdump iproute2"
    )


def test_check_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any of the programs: unsupported, with programs and packages."""
    monkeypatch.setattr(machine, "INSIDE_PATH", str(tmp_path))
    monkeypatch.setattr(machine, "can_unpack", lambda: False)
    with pytest.raises(Unsupported, match="ip, tcpdump, nginx") as refused:
        machine.check(hosts("host", "nginx"))
    assert "apt-get install iproute2 tcpdump nginx-light" in refused.value.hint


def test_tracers_are_needed_only_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without gdb and strace: unsupported for a host that is to be traced, with the packages."""
    for program in machine.TAP_PROGRAMS:
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.setattr(machine, "INSIDE_PATH", str(tmp_path))
    machine.check(hosts("host"))
    with pytest.raises(Unsupported, match="gdb, strace") as refused:
        machine.check(hosts("host"), debugger=True)
    assert refused.value.hint.startswith("apt-get install gdb strace ")


def test_image_of_somebody_else_is_unsupported() -> None:
    """There are no images on this engine; the one asked for is named."""
    with pytest.raises(Unsupported, match="`some/image:1`"):
        machine.check(hosts("host", "some/image:1"))


def test_visible_keeps_to_the_system(tmp_path: Path) -> None:
    """Links into /usr become links, directories are bound, and nothing of home, root or mnt is there."""
    for directory in ("usr/bin", "home/me", "root", "mnt", "lib", "etc"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "etc" / "shadow").touch()
    (tmp_path / "etc" / "services").touch()
    assert machine.visible(tmp_path) == (["/usr", "/etc/services", "/lib"], {"/bin": "usr/bin"})


def test_refusal_names_the_setting_that_forbids(tmp_path: Path) -> None:
    """Where a setting forbids user namespaces the error is unsupported, and names it."""
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "apparmor_restrict_unprivileged_userns").write_text("1\n")
    error = explain(errno.EPERM, "user namespace", tmp_path)
    assert isinstance(error, Unsupported)
    assert "kernel/apparmor_restrict_unprivileged_userns is 1" in error.state


def test_other_failures_are_the_engines(tmp_path: Path) -> None:
    """What no permission explains is an engine's failure, not a lack of the machine."""
    error = explain(errno.ENOMEM, "veth", tmp_path)
    assert isinstance(error, EngineError)
    assert "veth: Cannot allocate memory" in error.what


def test_refusal_of_a_value_is_the_scenarios_fault() -> None:
    """A value that the kernel refuses is no lack of this machine."""
    error = explain(errno.EINVAL, "sysctl net.ipv4.tcp_syncookies")
    assert error.exit_code == 2
    assert "no such value for `net.ipv4.tcp_syncookies`" in str(error)
