"""The user's own files, image, user and directory in a host, on every engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.lab.choose_engine import NAMESPACE

from .conftest import Invoke, both_engines

ECHO = """\
import os, pwd, socket
listening = socket.create_server(("", 9000))
also = socket.create_server(("", 9001))
print(os.getcwd(), pwd.getpwuid(os.getuid()).pw_name, os.environ["LEVEL"], flush=True)
for path in ("/app/new", "/app/echo.py"):
    try:
        open(path, "a")
    except OSError as error:
        print(type(error).__name__, flush=True)
connection, _ = listening.accept()
connection.sendall(connection.recv(100) + open("own data/text", "rb").read())
connection.close()
"""
SCENARIO = """\
summary: A server of one's own
server:
  image: programs
  files: ./app
  env: {LEVEL: 5}
  command: python3 echo.py
  ready: {port: [9000, 9001]}
client:
  files: {./app/own data: /app}
  steps:
    - connect: server:9000
    - send: one
    - recv_all:
    - close:
expect:
  - {ledger: {server: {written: 6, read: 6}}}
  - {exit: {server: 0}}
"""


LATEST = "runs/mine/latest"


def written(folder: Path, text: str = SCENARIO) -> str:
    (folder / "app" / "own data").mkdir(parents=True)
    (folder / "app" / "echo.py").write_text(ECHO)
    (folder / "app" / "own data" / "text").write_bytes(b"two")
    (folder / "mine.yaml").write_text(text)
    return str(folder / "mine.yaml")


def printed(invoke: Invoke, path: str, runs: Path) -> list[str]:
    """Return the words that the server printed in a run that passes."""
    done = invoke("run", path)
    assert done.code == 0, done
    return (runs / LATEST / "server.out").read_text().split()


@both_engines
def test_a_server_of_ones_own(invoke: Invoke, tmp_path: Path) -> None:
    """Copied in and read-only, each host its own, the program starts in its folder, as nobody; the manifest has all."""
    said = printed(invoke, written(tmp_path), tmp_path)
    assert said[:3] == ["/app", "nobody", "5"]
    assert len(said) == 5, f"both writes were refused: {said}"
    manifest = json.loads((tmp_path / LATEST / "manifest.json").read_text())
    assert sorted(manifest["hosts"]["server"]["files"]) == ["/app/echo.py", "/app/own data/text"]
    assert sorted(manifest["hosts"]["client"]["files"]) == ["/app/text"]


@pytest.mark.parametrize("invoke", [NAMESPACE], indirect=True)
def test_a_user_of_any_name(invoke: Invoke, tmp_path: Path) -> None:
    """On the namespace engine the program has the name that the scenario gives it; root's is refused."""
    path = written(tmp_path, SCENARIO.replace("  env:", "  user: postgres\n  env:"))
    assert printed(invoke, path, tmp_path)[1] == "postgres"
    (tmp_path / "mine.yaml").write_text((tmp_path / "mine.yaml").read_text().replace("user: postgres", "user: root"))
    refused = invoke("run", path)
    assert refused.code == 4
    assert "never root's" in refused.err


@pytest.mark.slow
def test_an_image_and_packages_of_ones_own(invoke: Invoke, tmp_path: Path) -> None:
    """A Dockerfile on the base that needs no registry, and Debian packages beside an image of ours."""
    path = written(tmp_path, SCENARIO.replace("  image: programs\n", "  build: ./image\n  user: nobody\n"))
    (tmp_path / "image").mkdir()
    install = "RUN apt-get update && apt-get install -y --no-install-recommends python3-minimal\n"
    (tmp_path / "image" / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n" + install)
    assert printed(invoke, path, tmp_path)[:2] == ["/app", "nobody"]
    (tmp_path / "mine.yaml").write_text(SCENARIO.replace("  image: programs\n", "  packages: python3-minimal\n"))
    assert printed(invoke, path, tmp_path)[:2] == ["/app", "nobody"]


@pytest.mark.parametrize("invoke", [NAMESPACE], indirect=True)
def test_what_this_machine_lacks_is_named(invoke: Invoke, tmp_path: Path) -> None:
    """A package that is not installed, or an image of one's own, on an engine that has no images: unsupported."""
    path = written(tmp_path, SCENARIO.replace("  image: programs\n", "  packages: no-such-thing\n"))
    refused = invoke("run", path)
    assert refused.code == 4
    assert "apt-get install no-such-thing" in refused.err
    (tmp_path / "Dockerfile").touch()
    (tmp_path / "mine.yaml").write_text(SCENARIO.replace("  image: programs\n", "  build: ./Dockerfile\n"))
    refused = invoke("run", path)
    assert refused.code == 4
    assert "`./Dockerfile`" in refused.err
