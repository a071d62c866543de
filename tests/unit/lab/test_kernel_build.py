"""Building a kernel of our own: which sources are taken, what a failed build says. With make, and tiny sources."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from testbed.lab.uml import kernel_build, kernel_source, kernel_store
from testbed.model.errors import EngineError, Unsupported, UsageError

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(not kernel_store.is_executable_here(), reason="User-Mode Linux is for Linux on x86-64"),
]

MAKEFILE = """
VERSION = 6
PATCHLEVEL = 12
SUBLEVEL = 7
allnoconfig:
	@grep -v SLUB_TINY $(KCONFIG_ALLCONFIG) > $(O)/.config
	@echo 'CONFIG_CC_VERSION_TEXT="cc 1"' >> $(O)/.config
linux:
	@echo '  CC      one.o'
	@$(STEP)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel_build, "missing_tools", list)


def tree(tmp_path: Path, step: str) -> Path:
    source = tmp_path / "linux-6.12.7"
    source.mkdir()
    (source / "Makefile").write_text(MAKEFILE.replace("$(STEP)", step))
    (source / "COPYING").write_text("GPL-2.0")
    return source


def test_a_build_is_kept_with_where_it_comes_from(tmp_path: Path) -> None:
    source = tree(tmp_path, f"cp {Path(sys.executable).resolve()} $(O)/linux")
    said: list[str] = []
    kernel = kernel_build.build("6.12", source, said.append)
    assert kernel.about.release == "6.12.7"
    assert kernel.about.source == source.name
    assert kernel.about.lacking == ("SLUB_TINY",)
    assert kernel.program.stat().st_mode & 0o111
    assert any("SLUB_TINY" in line for line in said)
    shutil.rmtree(source)
    assert kernel_build.build("6.12", source, said.append) == kernel  # it is there: no sources are needed


def test_a_failed_build_shows_its_last_lines_and_keeps_its_log(tmp_path: Path) -> None:
    source = tree(tmp_path, "echo 'one.c:1: error: no'; exit 1")
    with pytest.raises(EngineError) as failed:
        kernel_build.build("6.12", source, lambda _: None)
    assert "one.c:1: error: no" in failed.value.last_output
    log = kernel_store.store() / "6.12.log"
    assert str(log) in failed.value.state
    assert "one.c:1: error: no" in log.read_text()
    assert kernel_store.kernels() == []
    assert {path.name for path in kernel_store.store().iterdir()} == {"6.12.log", ".lock-6.12"}


def test_sources_of_another_version_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"6\.12\.7, not 6\.1"):
        kernel_build.build("6.1", tree(tmp_path, "true"), lambda _: None)


@pytest.mark.parametrize("name", ["missing", "empty", "text.tar.xz"])
def test_what_holds_no_sources_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar.xz").write_text("no archive")
    with pytest.raises(UsageError):
        kernel_build.build("6.12", tmp_path / name, lambda _: None)


def test_a_tree_that_was_built_in_itself_is_refused(tmp_path: Path) -> None:
    source = tree(tmp_path, "true")
    (source / ".config").touch()
    with pytest.raises(UsageError) as refused:
        kernel_build.build("6.12", source, lambda _: None)
    assert "mrproper" in refused.value.hint


def test_missing_tools_are_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_build, "missing_tools", lambda: ["flex", "bc"])
    with pytest.raises(Unsupported) as refused:
        kernel_build.build("6.12", tmp_path, lambda _: None)
    assert "apt-get install flex bc" in refused.value.hint


def test_a_machine_without_debians_packages_is_asked_for_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match="no apt-get") as refused:
        kernel_build.build("6.12", None, lambda _: None)
    assert "--source" in refused.value.hint


@pytest.mark.skipif(shutil.which("apt-cache") is None, reason="this is no Debian")
def test_a_version_that_no_package_has_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_source, "SUITES", ())  # other releases are asked over the network
    with pytest.raises(Unsupported, match=r"no sources of Linux 9\.99") as refused:
        kernel_build.build("9.99", None, lambda _: None)
    assert "linux-source-9.99" in refused.value.what
    assert "--source" in refused.value.hint


@pytest.mark.parametrize(
    ("version", "offered", "wanted"),
    [
        ("6.12", "6.12.117", True),
        ("6.12.117", "6.12.117", True),
        ("6.12.11", "6.12.117", False),
        ("6.12.117", "6.12.118", False),
        ("6.12", "", False),
    ],
)
def test_a_package_is_of_a_series_and_holds_one_version(version: str, offered: str, wanted: bool) -> None:
    assert kernel_source.is_wanted(offered, version) is wanted


@pytest.mark.skipif(shutil.which("apt-cache") is None, reason="this is no Debian")
def test_a_version_that_is_gone_is_told_beside_the_one_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kernel_source, "SUITES", ())
    monkeypatch.setattr(kernel_source, "_offered", lambda package, _: "6.12.117" * package.endswith("-6.12"))
    with (
        pytest.raises(Unsupported) as refused,
        kernel_source.sources("6.12.3", None, tmp_path, lambda _: None),
    ):
        pass
    assert refused.value.state == "asked: this machine's release (6.12.117)"
