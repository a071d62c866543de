"""Programs that a machine lacks, from their Debian packages: which packages, and scripts that find their libraries."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from testbed.lab.namespace import machine, unpacked_programs
from testbed.model.errors import Unsupported

APT = """\
#!/bin/sh
case " $* " in
*" --print-uris "*) echo "'http://mirror/p/libx_1%3a2-3_amd64.deb' libx_1%3a2-3_amd64.deb 7 SHA256:00"
                    echo "'http://mirror/p/tcpdump_4.9_amd64.deb' tcpdump_4.9_amd64.deb 9 SHA256:00" ;;
*" download libx=1:2-3 tcpdump=4.9 "*) touch libx.deb tcpdump.deb ;;
*) exit 100 ;;
esac
"""
DPKG_DEB = """\
#!/bin/sh
mkdir -p "$3/usr/bin" "$3/sbin" "$3/usr/lib/x86_64-linux-gnu"
touch "$3/usr/bin/tcpdump"; ln -sf /usr/bin/tcpdump "$3/sbin/dump"
"""


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that lacks tcpdump; its apt-get and dpkg-deb say what Debian's do."""
    (tmp_path / "bin").mkdir()
    for name, text in (("apt-get", APT), ("dpkg-deb", DPKG_DEB)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(unpacked_programs, "missing", lambda _: ["tcpdump"])
    return tmp_path


def test_a_program_and_its_libraries_are_unpacked_once(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    made = Path(unpacked_programs.provide(said.append))
    assert made.is_relative_to(debian / "cache")
    assert unpacked_programs.provide(said.append) == str(made)
    assert len(said) == 1
    monkeypatch.setattr(unpacked_programs, "missing", lambda _: [])
    assert unpacked_programs.provide(said.append) == ""


def test_each_program_has_a_script_with_its_libraries(debian: Path) -> None:
    """A link to a path of the package's own root is followed there."""
    del debian
    made = Path(unpacked_programs.provide(lambda _: None))
    inside = machine.PROGRAMS_DIRECTORY
    for name in ("tcpdump", "dump"):
        script = (made / "bin" / name).read_text()
        assert f"LD_LIBRARY_PATH={inside}/root/usr/lib/x86_64-linux-gnu exec {inside}/root/usr/bin/tcpdump " in script
        assert os.access(made / "bin" / name, os.X_OK)
        subprocess.run(["sh", "-n", made / "bin" / name], check=True)


def test_where_apt_fails_the_command_to_type_and_why_are_told(debian: Path) -> None:
    (debian / "bin/apt-get").write_text("#!/bin/sh\necho 'E: no network' >&2\nexit 100\n")
    with pytest.raises(Unsupported, match="tcpdump") as refused:
        unpacked_programs.provide(lambda _: None)
    assert "E: no network" in refused.value.last_output
    assert refused.value.hint.startswith("apt-get install tcpdump ")
    assert not [path for path in (debian / "cache").rglob("*") if path.is_file()]
