"""Build one image and pull one image, with progress, a bound on silence, and errors that say why."""

from __future__ import annotations

import io
import queue
import re
import tarfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import docker
import docker.errors
import requests.exceptions

from testbed.lab.docker import debian_packages
from testbed.lab.docker.docker_errors import translate
from testbed.model.errors import EngineError, ImageError

Progress = Callable[[str], None]

KEPT_LINES = 20
_STEP = re.compile(r"Step (\d+/\d+) : (.*)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_SHOWN = 60
_HINTS = (
    (
        re.compile(r"no space left", re.IGNORECASE),
        "free disk space on the engine's machine; `docker system df` shows what is used",
    ),
    (
        re.compile(r"Temporary failure resolving|Could not resolve|Could not connect|Failed to fetch|Unable to fetch"),
        "containers of this engine cannot reach the Debian packages: check network, name server and proxy settings",
    ),
    (
        re.compile(r"Unable to locate package|has no installation candidate"),
        "Debian has no such package: `apt-cache search` finds its name",
    ),
    (
        re.compile(r"Release file .* is not valid yet|certificate .*(expired|not yet)", re.IGNORECASE),
        "the clock of the engine's machine is wrong: set it",
    ),
)


def find(client: docker.DockerClient, reference: str) -> dict[str, Any] | None:
    """Return the engine's description of a local image, or None."""
    with translate(f"look for image {reference}"):
        try:
            found: dict[str, Any] = client.images.get(reference).attrs
        except docker.errors.ImageNotFound:
            return None
    return found


def build(
    client: docker.DockerClient,
    name: str,
    *,
    files: Mapping[str, bytes],
    dockerfile: str = "Dockerfile",
    modes: Mapping[str, int] = MappingProxyType({}),
    arguments: Mapping[str, str],
    labels: Mapping[str, str] = MappingProxyType({}),
    tag: str | None,
    progress: Progress,
    hint: str = "",
) -> None:
    """Build the image ``name`` from the files of its context and tag it; ImageError holds the step and the output.

    Without a ``tag`` it is only what later builds begin with.

    ``modes`` are the permissions of files that are not 0644; ``labels`` are added to the Dockerfile's own.
    ``hint`` is what to do about a failure of which nothing else is known.

    Proxies go in as Docker's predefined build arguments, which are neither stored in the image nor part of the
    build cache's key.
    """
    last_lines: deque[str] = deque(maxlen=KEPT_LINES)
    step = "before the first step"
    error = ""
    with translate(f"build image {name}"):
        events = client.api.build(
            fileobj=_context(files, modes),
            custom_context=True,
            dockerfile=dockerfile,
            tag=tag,
            buildargs={**debian_packages.proxies(), **arguments},
            labels=dict(labels),
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in events:
            error = error or str(event.get("error", ""))  # the last event, but the stream is read to its end
            for line in _COLOURS.sub("", str(event.get("stream", ""))).splitlines():
                if not line.strip():
                    continue
                last_lines.append(line)
                if found := _STEP.match(line):
                    step = f"step {found[1]}: {found[2]}"
                    progress(f"{name}: step {found[1]} {_short(found[2])}")
    if error:
        raise _failure(name, step, error, last_lines, hint)


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _SHOWN else words[: _SHOWN - 3] + "..."


def _failure(name: str, step: str, error: str, last_lines: deque[str], hint: str = "") -> ImageError:
    output = "\n".join(last_lines)
    # The engine's text repeats the whole command, which the step shows already.
    reason = re.sub(r"^The command .* returned a non-zero code:", "a command ended with", error, flags=re.DOTALL)
    return ImageError(
        f"image {name} cannot be built: {reason}",
        state=step,
        last_output=output,
        hint=_hint(f"{output}\n{error}") or hint or f"look at compose/{name}/Dockerfile and the output above",
    )


def _hint(text: str) -> str:
    return next((hint for pattern, hint in _HINTS if pattern.search(text)), "")


def _context(files: Mapping[str, bytes], modes: Mapping[str, int] = MappingProxyType({})) -> io.BytesIO:
    """Pack a build context that is the same for the same files, so that the build cache is hit."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in sorted(files.items()):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            member.mode = modes.get(path, 0o644)
            archive.addfile(member, io.BytesIO(content))
    packed.seek(0)
    return packed


def pull(client: docker.DockerClient, reference: str, progress: Progress, *, patience: float) -> None:
    """Pull an image; ImageError if it cannot be had, or if the registry is silent for ``patience`` seconds."""
    events: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()

    def listen() -> None:
        try:
            for event in client.api.pull(reference, stream=True, decode=True):
                events.put(event)
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            events.put(error)
        else:
            events.put(None)

    # The SDK waits for a pull without limit; only a thread of our own can stop listening.
    threading.Thread(target=listen, name=f"pull {reference}", daemon=True).start()
    error = ""
    for event in _until_silent(events, reference, patience):
        error = error or str(event.get("error", ""))
        if "status" in event and "id" not in event:  # those with an id are about one layer, many a second
            progress(f"{reference}: {event['status']}")
    if error:
        raise ImageError(f"cannot pull {reference}: {error}")


def _until_silent(
    events: queue.SimpleQueue[dict[str, Any] | Exception | None], reference: str, patience: float
) -> Iterator[dict[str, Any]]:
    while True:
        try:
            event = events.get(timeout=patience)
        except queue.Empty:
            raise ImageError(f"cannot pull {reference}: the registry did not answer for {patience:.0f} s") from None
        if event is None:
            return
        if isinstance(event, Exception):
            try:
                with translate(f"pull {reference}"):
                    raise event
            except EngineError as error:
                raise ImageError(error.what, state=error.state, hint=error.hint) from event
        yield event
