"""Our images as one tar file, the format of `docker save`: for machines that reach no registry and are no Debian."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import docker
import requests

from testbed.lab.docker.docker_errors import translate
from testbed.model.errors import ImageError, UsageError

_CHUNK = 1 << 20


def stream(client: docker.DockerClient, tags: Sequence[str]) -> Iterator[bytes]:
    """Yield the tar file of these images; EngineError if the engine lacks one."""
    api: docker.APIClient = client.api
    with translate("pack the images"):
        answer: requests.Response = api.get(  # the SDK itself packs one image only
            f"{api.base_url}/v{api.api_version}/images/get", params={"names": list(tags)}, stream=True, timeout=600
        )
        if not answer.ok:
            raise ImageError(f"the images cannot be packed: {answer.text.strip()}", state=f"HTTP {answer.status_code}")
        yield from answer.iter_content(_CHUNK)


def save(client: docker.DockerClient, tags: Sequence[str], path: Path) -> None:
    """Write the images to a file, which is there only when it is whole."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            for data in stream(client, tags):
                file.write(data)
        part.replace(path)
    except OSError as error:
        raise ImageError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def load(client: docker.DockerClient, path: Path) -> None:
    """Give the engine all images of a file. UsageError without one, ImageError if the engine takes none from it."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="`invoke images --save FILE` writes one elsewhere")
    with path.open("rb") as file, translate(f"load images from {path}"):
        refused = take(client, iter(lambda: file.read(_CHUNK), b""))
    if refused:
        raise ImageError(
            f"{path} holds no images: {refused}", hint="it takes what `invoke images --save` or `docker save` wrote"
        )


def take(client: docker.DockerClient, data: Iterator[bytes]) -> str:
    """Give the engine a tar file of images; return why it took none, empty if it did."""
    refused = ""
    for event in client.api.load_image(data):  # type: ignore[no-untyped-call]
        said = event if isinstance(event, dict) else json.loads(event)
        refused = refused or str(said.get("error", ""))
    return refused
