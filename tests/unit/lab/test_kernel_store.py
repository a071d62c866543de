"""Kernels of our own: how versions are found, and what is kept, packed and refused."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from testbed.lab.uml import kernel_store
from testbed.lab.uml.kernel_store import Kernel, KernelAbout
from testbed.model.errors import Unsupported, UsageError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(release: str, configuration: str = "", lacking: tuple[str, ...] = ()) -> Kernel:
    configuration = configuration or kernel_store.configuration_hash()
    with kernel_store.unfinished() as fresh:
        for name in ("linux", "config", "COPYING"):
            (fresh / name).write_text(f"{name} of {release}")
        return kernel_store.keep(
            fresh, KernelAbout(release, f"linux-source {release}", configuration, lacking, "gcc", 1.0)
        )


def test_a_version_is_the_newest_of_its_releases() -> None:
    for release in ("6.12.9", "6.12.117", "6.1.176", "7.2.13"):
        kept(release)
    assert [kernel.about.release for kernel in kernel_store.kernels()] == ["6.1.176", "6.12.9", "6.12.117", "7.2.13"]
    assert kernel_store.choose_kernel("6.12").about.release == "6.12.117"
    assert kernel_store.choose_kernel("6.1").about.release == "6.1.176"
    assert kernel_store.choose_kernel("6.12.9").about.release == "6.12.9"
    assert kernel_store.choose_kernel().about.release == "7.2.13"


def test_a_kernel_of_another_configuration_is_not_used() -> None:
    kept("6.12.117", configuration="0123456789ab")
    assert kernel_store.find("6.12") is None
    with pytest.raises(Unsupported) as refused:
        kernel_store.choose_kernel("6.12")
    assert "invoke kernels build 6.12" in refused.value.hint


@pytest.mark.parametrize("version", ["", "6", "v6.12", "6.12/../..", "6.12 ", "latest"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(UsageError):
        kernel_store.check_version(version)


def test_a_kernel_travels_as_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = kept("6.12.117", lacking=("SLUB_TINY",))
    kernel_store.pack("6.12", tmp_path / "packed.tar.xz")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    there = kernel_store.unpack(tmp_path / "packed.tar.xz")
    assert there.about == here.about
    assert there.directory != here.directory
    assert there.program.read_text() == "linux of 6.12.117"
    assert there.program.stat().st_mode & 0o111
    assert kernel_store.choose_kernel("6.12") == there


def test_a_file_that_holds_no_kernel_is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.tar"
    with tarfile.open(foreign, "w") as archive:
        archive.add(__file__, "linux")
    (tmp_path / "text").write_text("no archive")
    for path in (foreign, tmp_path / "text", tmp_path / "missing"):
        with pytest.raises(UsageError):
            kernel_store.unpack(path)
    assert kernel_store.kernels() == []
    assert list(kernel_store.store().iterdir()) == []


def test_removing_removes_every_release_of_a_version() -> None:
    for release in ("6.12.9", "6.12.117", "6.1.176"):
        kept(release)
    assert [kernel.about.release for kernel in kernel_store.remove("6.12")] == ["6.12.9", "6.12.117"]
    assert [kernel.about.release for kernel in kernel_store.kernels()] == ["6.1.176"]
    with pytest.raises(UsageError):
        kernel_store.remove("6.12")
