"""BuildKit makes the images too: engines of the future have no other builder, and people build with its client."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import docker
import pytest

from testbed.lab.docker import images

BUILT = [name for name in images.USUAL if images.DEFINITIONS[name].parent]


def _client_has_buildkit() -> bool:
    try:
        return subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not _client_has_buildkit(), reason="the docker client has no buildx")
@pytest.mark.parametrize("name", BUILT)
def test_buildkit_makes_the_image(engine: docker.DockerClient, tmp_path: Path, name: str) -> None:
    """From the same files and the same parent as the engine's own builder: the same command, user and environment."""
    definition = images.DEFINITIONS[name]
    ours = images.ensure(engine, [name], print)[name]
    for path, content in images.definition_files(name).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    dockerfile = f"{name}/Dockerfile" if definition.sources else "Dockerfile"
    tag = f"bothends-buildkit-{name}:{os.getpid()}"
    words = ["docker", "build", "--progress", "plain", "--file", str(tmp_path / dockerfile), "--tag", tag]
    words += ["--build-arg", f"BASE={images.reference(str(definition.parent))}", str(tmp_path)]
    done = subprocess.run(
        words, env={**os.environ, "DOCKER_BUILDKIT": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    try:
        config, other = (engine.images.get(each).attrs["Config"] for each in (ours, tag))
        assert {key: config.get(key) for key in ("Cmd", "Entrypoint", "User", "Env", "WorkingDir")} == {
            key: other.get(key) for key in ("Cmd", "Entrypoint", "User", "Env", "WorkingDir")
        }
    finally:
        engine.images.remove(tag)
