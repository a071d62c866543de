"""Programs of Debian as a new user would try them: scenarios of at most 12 lines, without an image of one's own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from testbed.lab.choose_engine import DOCKER, NAMESPACE

from .conftest import ROOT, Invoke

FOLDER = ROOT / "tests" / "data" / "programs"
SCENARIOS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
ON_DOCKER = ("memcached", "dnsmasq", "rsync", "vsftpd")
"""Those that are tried there too: stock daemons that want to change their user, and one that limits its memory."""


def written(folder: Path, name: str) -> str:
    """Copy a scenario with what it names, as it lies in a user's folder; a server in Go is compiled there."""
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    if name == "go":
        if shutil.which("go") is None:
            pytest.skip("no Go compiler here (golang-go)")
        build = ["go", "build", "-o", "go-server", "server.go"]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "CGO_ENABLED": "0"}
        subprocess.run(build, cwd=folder, check=True, env=environment)
    return str(folder / f"{name}.yaml")


def test_no_scenario_is_longer_than_twelve_lines() -> None:
    assert len(SCENARIOS) == 15
    assert {name for name in SCENARIOS if len((FOLDER / f"{name}.yaml").read_text().splitlines()) > 12} == set()


@pytest.mark.slow
@pytest.mark.parametrize("invoke", [NAMESPACE], indirect=True)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_program_of_this_machine_passes(name: str, invoke: Invoke, tmp_path: Path) -> None:
    """It starts without a right, is observed, and every byte is accounted for."""
    done = invoke("run", written(tmp_path, name))
    if done.code == 4:
        pytest.skip(done.err.splitlines()[0])
    assert done.code == 0, done
    assert "contents are equal" in done.out


@pytest.mark.slow
@pytest.mark.parametrize("invoke", [DOCKER], indirect=True)
@pytest.mark.parametrize("name", ON_DOCKER)
def test_a_program_installed_into_a_container_passes(name: str, invoke: Invoke, tmp_path: Path) -> None:
    """`packages:` installs it into an image of that host's; it runs as nobody, or as the user that is named."""
    done = invoke("run", written(tmp_path, name))
    assert done.code == 0, done
