"""What of the user's own a scenario names: read with all that is in it, and never from where it does not belong."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.model.errors import ScenarioError
from testbed.scenario.load import load
from testbed.scenario.read_own_files import own_parts

HEAD = "summary: files of one's own\n"
CLIENT = "client: {command: 'true'}\n"


def scenario(folder: Path, server: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(f"{HEAD}server:\n  command: ./run\n{server}{CLIENT}")
    return path


def refused(folder: Path, server: str) -> str:
    with pytest.raises(ScenarioError) as error:
        load(scenario(folder, server))
    return str(error.value)


def test_a_folder_is_copied_whole_with_its_modes_and_its_program_starts_in_it(tmp_path: Path) -> None:
    """Files at any depth, links followed, what git and Python keep left out; `./app` alone is `/app`."""
    (tmp_path / "app" / "data" / ".git").mkdir(parents=True)
    (tmp_path / "app" / "run").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "app" / "run").chmod(0o700)
    (tmp_path / "app" / "data" / "a b").write_bytes(b"\0\n")
    (tmp_path / "app" / "data" / ".git" / "config").write_bytes(b"kept out")
    (tmp_path / "app" / "link").symlink_to("data")
    server = own_parts(load(scenario(tmp_path, "  files: ./app\n")))["server"]
    assert [(file.path, file.content, file.mode) for file in server.files] == [
        ("/app/data/a b", b"\0\n", 0o444),
        ("/app/link/a b", b"\0\n", 0o444),
        ("/app/run", b"#!/bin/sh\n", 0o500),
    ]
    assert server.starts_in == "/app"


def test_single_files_and_folders_go_where_the_scenario_says(tmp_path: Path) -> None:
    """A mapping names both ends of each; it does not change where the program starts, `workdir` does."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "x").touch()
    (tmp_path / "server.py").touch()
    wanted = "  files: {./app: /srv/app/, ./server.py: /srv/app/main.py}\n"
    server = own_parts(load(scenario(tmp_path, wanted)))["server"]
    assert [file.path for file in server.files] == ["/srv/app/main.py", "/srv/app/x"]
    assert server.starts_in == ""
    server = own_parts(load(scenario(tmp_path, f"{wanted}  workdir: /srv\n")))["server"]
    assert server.starts_in == "/srv"


def test_a_path_may_lead_up_within_the_repository_and_no_further(tmp_path: Path) -> None:
    """`../server.py` is refused out of a lone folder, taken in a git repository; a link obeys the same rule."""
    wire = tmp_path / "repository" / "wire"
    wire.mkdir(parents=True)
    (tmp_path / "secret").touch()
    (wire.parent / "server.py").touch()
    (wire / "link").symlink_to(tmp_path / "secret")
    assert "leads out of the scenario's folder" in refused(wire, "  files: {../server.py: /app/server.py}\n")
    (wire.parent / ".git").mkdir()
    assert [
        file.path for file in own_parts(load(scenario(wire, "  files: {../server.py: /app/s.py}\n")))["server"].files
    ] == ["/app/s.py"]
    assert "leads out of the git repository" in refused(wire, "  files: {../../secret: /app/secret}\n")
    assert "leads out of the git repository" in refused(wire, "  files: [./link]\n")
    assert "leads out of the git repository" in refused(wire, "  build: ../../secret\n")


def test_every_bad_path_is_reported_at_its_place(tmp_path: Path) -> None:
    """Line, column and caret of each; the nearest name is offered."""
    (tmp_path / "server.py").touch()
    text = refused(tmp_path, "  files:\n    ./server.pi: /app/a\n    ./gone: /app/b\n  image: ./no\n")
    assert text.splitlines()[0].endswith("own.yaml:5:5: `./server.pi` is not there; did you mean `server.py`?")
    assert "own.yaml:6:5: `./gone` is not there" in text
    assert "own.yaml:7:10: `./no` is not there" in text
    text = refused(tmp_path, "  files:\n    ./server.py: /usr/bin/server\n    server.py: /app/b\n")
    assert "own.yaml:5:5: nothing of your own can be at `/usr/bin/server`" in text
    assert "own.yaml:6:5: `server.py` is not a path of your own" in text
    assert "either `image` or `build`, not both" in refused(tmp_path, "  image: host\n  build: ./x\n")


def test_what_cannot_be_told_apart_or_followed_is_refused(tmp_path: Path) -> None:
    """Two files at one path, a file where another needs a folder, a link into its own folder, nothing at all."""
    (tmp_path / "a").touch()
    (tmp_path / "folder").mkdir()
    assert "`./folder` holds no file" in refused(tmp_path, "  files: ./folder\n")
    (tmp_path / "folder" / "a").touch()
    assert "two of the files" in refused(tmp_path, "  files: {./a: /x/a, ./folder: /x}\n")
    assert "two of the files" in refused(tmp_path, "  files: {./a: /x, ./folder: /x/y}\n")
    assert "two of the files" in refused(tmp_path, "  files: {./folder: /x/y, ./a: /x}\n")
    (tmp_path / "folder" / "again").symlink_to(".")
    assert "is a symbolic link to a folder that it is in" in refused(tmp_path, "  files: ./folder\n")


def test_a_dockerfile_is_built_of_its_folder_without_what_dockerignore_names(tmp_path: Path) -> None:
    """`build:` names either; `image: ./x` is the same; no Dockerfile is an error."""
    folder = tmp_path / "img"
    folder.mkdir()
    for name in ("Dockerfile", "kept", "left.log"):
        (folder / name).write_text(name)
    (folder / ".dockerignore").write_text("# not these\n*.log\n.dockerignore\n")
    ignored = [".dockerignore"]  # docker(1) sends it along whatever it says
    for said in ("build: ./img", "build: ./img/Dockerfile", "image: ./img"):
        build = own_parts(load(scenario(tmp_path, f"  {said}\n")))["server"].build
        assert build is not None
        assert (build.dockerfile, [file.path for file in build.files]) == (
            "Dockerfile",
            [*ignored, "Dockerfile", "kept"],
        )
    (folder / "Dockerfile").unlink()
    assert "`./img` has no Dockerfile" in refused(tmp_path, "  build: ./img\n")
