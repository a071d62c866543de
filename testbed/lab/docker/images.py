"""The images and the tools volume that a lab needs: found, or made once and then found.

An image of ours is a folder of ``compose/`` with a Dockerfile, and for those that hold C programs the folders of their
sources. Its tag is a hash of all these files and of what it is made from, so that nothing is rebuilt when nothing
changed, and everything is that changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import docker
import docker.errors

from testbed.lab.docker import base_image, tools_volume
from testbed.lab.docker.docker_errors import translate
from testbed.lab.docker.image_build import Progress, build, find, pull
from testbed.lab.docker.side_by_side import side_by_side
from testbed.lab.docker.tools_volume import ensure_tools_volume
from testbed.lab.engine_kind import ImageStatus
from testbed.model.errors import ImageError
from testbed.shipped.files import COMPOSE

__all__ = [
    "DEFINITIONS",
    "NAMES",
    "USUAL",
    "ImageStatus",
    "Stale",
    "definition_files",
    "ensure",
    "ensure_tools_volume",
    "is_ours",
    "reference",
    "remove_stale",
    "status",
]

FOLDERS = COMPOSE
IMAGE_LABEL = "bothends.image"
BUILD_STAGE = "compiler"
"""The label's value on first stages: images without a tag that speed up the next build."""
PULL_PATIENCE = 60.0
_HASH_DIGITS = 12
_RUN = r"RUN (.*\\\n)*.*\n"
"""A RUN over one line or several."""
_NOT_SOURCES = frozenset({"tests", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Definition:
    """One image of ours: its folder in ``compose/`` has its name.

    ``sources``: further files and folders there of which it is built. With any, ``compose/`` itself is the build's
    context, else the image's folder.
    ``parent`` is the image that ``ARG BASE`` names, None for the base itself. ``on_demand``: too large to be made
    before a scenario asks for it. ``user`` is whose a host's programs are, empty where the Dockerfile says it.
    """

    name: str
    parent: str | None = "base"
    sources: tuple[str, ...] = ()
    on_demand: bool = False
    user: str = "65534:65534"


DEFINITIONS: Mapping[str, Definition] = {
    definition.name: definition
    for definition in (
        Definition("base", parent=None),
        Definition("tools", sources=("Makefile", "common", "agent", "actor", "hold", "probe")),
        Definition("debugger"),
        Definition("host"),
        Definition("tap", sources=("Makefile",)),
        Definition("link", sources=("Makefile", "common")),
        Definition("witness", sources=("Makefile", "common")),
        Definition("own-program", sources=("Makefile",)),
        Definition("curl"),
        Definition("programs"),
        Definition("nginx", user=""),
        Definition("winsock", sources=("Makefile", "winprobe", "winstart"), on_demand=True, user=""),
    )
}
NAMES: tuple[str, ...] = tuple(DEFINITIONS)
USUAL: tuple[str, ...] = tuple(name for name, definition in DEFINITIONS.items() if not definition.on_demand)
"""Those that are made before anything asks for them."""


def is_ours(name: str) -> bool:
    """Say whether a name is a folder of ``compose/`` rather than a reference to somebody else's image."""
    return name in DEFINITIONS


def definition_files(name: str) -> dict[str, bytes]:
    """Return the files of an image's build context by path in it, without hidden ones, editors' leftovers and tests."""
    sources = DEFINITIONS[name].sources
    context = FOLDERS if sources else FOLDERS / name
    tops = [context / top for top in (name, *sources)] if sources else [context]
    paths = [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top]) if path.is_file()]
    relative = {path.relative_to(context).as_posix(): path for path in paths}
    return {
        path: relative[path].read_bytes()
        for path in sorted(relative)
        if not path.endswith("~") and not any(part.startswith(".") or part in _NOT_SOURCES for part in path.split("/"))
    }


def _dockerfile(name: str) -> str:
    return f"{name}/Dockerfile" if DEFINITIONS[name].sources else "Dockerfile"


def reference(name: str) -> str:
    """Return the tag under which an image is looked for: ours by content, any other as it was given."""
    if not is_ours(name):
        return name
    if DEFINITIONS[name].parent is None:
        return base_image.TAG
    return f"bothends/{name}:{_hash(name)}"


def _hash(name: str) -> str:
    parent = DEFINITIONS[name].parent
    if parent is None:
        return base_image.VERSION
    return content_hash(definition_files(name), _hash(parent))


def content_hash(files: Mapping[str, bytes], parent: str) -> str:
    """Hash a context's files (names and contents, not times or modes) and what the image is made from."""
    digest = hashlib.sha256(parent.encode())
    for path, content in sorted(files.items()):
        digest.update(f"\0{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:_HASH_DIGITS]


def ensure(client: docker.DockerClient, names: Sequence[str], progress: Progress) -> dict[str, str]:
    """Return the image id of each name (ours, or any image reference), making or pulling what is missing.

    When nothing is missing this costs one question to the engine per name. ImageError says which image cannot be
    had, and why.
    """
    ids: dict[str, str] = {}
    missing = []
    for name in dict.fromkeys(names):
        found = find(client, reference(name))
        if found is None:
            missing.append(name)
        else:
            ids[name] = str(found["Id"])
    if missing:
        with _one_at_a_time(progress):
            ids |= _make_all(client, missing, progress)
    return ids


def _make_all(client: docker.DockerClient, names: Sequence[str], progress: Progress) -> dict[str, str]:
    """Make several images side by side: first parents, then beginnings of those with two stages, beside all others."""
    if len(names) == 1:
        return {names[0]: _make(client, names[0], progress)}
    progress(f"images to be made: {', '.join(names)}")
    for parent in dict.fromkeys(DEFINITIONS[name].parent for name in names if is_ours(name)):
        if parent is not None:
            _make(client, parent, progress)
    begun = {name: _beginnings(name) for name in names}
    beginnings = dict.fromkeys(each for found in begun.values() for each in found)
    whole = [name for name, found in begun.items() if not found]
    works: dict[str, Callable[[], str]] = {}
    for number, beginning in enumerate(beginnings):
        works[f"beginning {number}"] = partial(_begin, client, beginning, progress)
    for name in whole:
        works[name] = partial(_make, client, name, progress)
    made = side_by_side(list(works), lambda key: works[key]())
    rest = side_by_side([name for name in names if name not in whole], lambda name: _make(client, name, progress))
    return {name: made[name] for name in whole} | rest


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Lines with which a stage begins, through its first RUN: once carried out, a build that has them takes the result.

    ``name`` is shown; the lines before the compiler's RUN are the same in several images.
    """

    name: str
    dockerfile: str


def _beginnings(name: str) -> list[_Beginning]:
    """Return what of an image with a compiler's stage can be made by itself, that stage first; none for others."""
    if not is_ours(name) or DEFINITIONS[name].parent is None:
        return []
    dockerfile = definition_files(name)[_dockerfile(name)].decode()
    compiler = re.search(rf"^ARG BASE\nFROM .*\nLABEL {IMAGE_LABEL}={BUILD_STAGE}\n{_RUN}", dockerfile, re.MULTILINE)
    if compiler is None:
        return []
    own = re.search(rf"^FROM \${{BASE}}\n{_RUN}", dockerfile[compiler.end() :], re.MULTILINE)
    return [
        _Beginning(BUILD_STAGE, compiler[0]),
        *([_Beginning(name, f"ARG BASE\n{own[0]}")] if own else []),
    ]


def _begin(client: docker.DockerClient, beginning: _Beginning, progress: Progress) -> str:
    build(
        client,
        beginning.name,
        files={"Dockerfile": beginning.dockerfile.encode()},
        arguments={"BASE": base_image.TAG},
        labels={IMAGE_LABEL: BUILD_STAGE},
        tag=None,
        progress=progress,
    )
    return ""


def _make(client: docker.DockerClient, name: str, progress: Progress) -> str:
    """Make one image, its parent first; another process may have made it while we waited."""
    wanted = reference(name)
    found = find(client, wanted)
    if found is None:
        if not is_ours(name):
            _pull_foreign(client, name, progress)
        elif DEFINITIONS[name].parent is None:
            base_image.provide(client, progress)
        else:
            _build_ours(client, name, progress)
        found = find(client, wanted)
    if found is None:
        raise ImageError(f"image {wanted} was made and is gone again", hint="something else removes images; try again")
    return str(found["Id"])


def _build_ours(client: docker.DockerClient, name: str, progress: Progress) -> None:
    parent = DEFINITIONS[name].parent
    assert parent is not None  # noqa: S101 - the caller has looked
    _make(client, parent, progress)
    # The tag comes from the very bytes that are sent, even if somebody edits the folder meanwhile.
    files = definition_files(name)
    tag = f"bothends/{name}:{content_hash(files, _hash(parent))}"
    progress(f"{name}: no image {tag}; building it")
    build(
        client,
        name,
        files=files,
        dockerfile=_dockerfile(name),
        arguments={"BASE": reference(parent)},
        tag=tag,
        progress=progress,
    )


def _pull_foreign(client: docker.DockerClient, name: str, progress: Progress) -> None:
    progress(f"{name}: not here; pulling it")
    try:
        pull(client, name, progress, patience=PULL_PATIENCE)
    except ImageError as error:
        raise ImageError(
            f"image {name} is neither here nor can it be pulled",
            state=error.what,
            hint=f"`docker load` or `docker build -t {name}` it, or use one of ours: {', '.join(NAMES)}",
        ) from error


@contextmanager
def _one_at_a_time(progress: Progress) -> Iterator[None]:
    """Keep processes of this machine from making the same images at once. The kernel frees the lock on any death.

    Without such locks (Windows) an image may be made twice, which costs only time.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    folder = os.open(FOLDERS, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another process is making images; waiting for it")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def status(client: docker.DockerClient) -> list[ImageStatus]:
    """Describe each image of ours, in the order of their making."""
    old = {name: tuple(tags) for name, tags in _stale_tags(_labelled(client)).items()}
    described = []
    for name in NAMES:
        tag = reference(name)
        found = find(client, tag) or {}
        described.append(
            ImageStatus(
                name,
                tag,
                found.get("Id"),
                found.get("Size"),
                found.get("Created"),
                old.get(name, ()),
                on_demand=DEFINITIONS[name].on_demand,
            )
        )
    return described


def _labelled(client: docker.DockerClient) -> list[dict[str, Any]]:
    with translate("list images"):
        listed: list[dict[str, Any]] = client.api.images(filters={"label": IMAGE_LABEL})
    return sorted(listed, key=lambda image: -int(image["Created"]))


def _stale_tags(labelled: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Group our tags that are not current by image name.

    An image that somebody made FROM one of ours inherits the label, so the tag must be ours as well.
    """
    current = {reference(name) for name in NAMES}
    stale: dict[str, list[str]] = {}
    for image in labelled:
        name = image["Labels"][IMAGE_LABEL]
        for tag in image["RepoTags"] or ():
            if tag.startswith(f"bothends/{name}:") and tag not in current:
                stale.setdefault(name, []).append(tag)
    return stale


@dataclass(frozen=True, slots=True)
class Stale:
    """What :func:`remove_stale` did: names removed, and names kept because something uses them."""

    removed: tuple[str, ...]
    kept: tuple[str, ...]


def remove_stale(client: docker.DockerClient, progress: Progress) -> Stale:
    """Remove our images whose tag is not current, build stages left over, and volumes with tools of old versions."""
    removed, kept = [], []
    with _one_at_a_time(progress):
        labelled = _labelled(client)
        targets = [tag for tags in _stale_tags(labelled).values() for tag in tags]
        targets += [image["Id"] for image in labelled if _is_build_stage(image)]
        for target in targets:
            with translate(f"remove image {target}"):
                try:
                    client.api.remove_image(target)
                except docker.errors.ImageNotFound:
                    continue
                except docker.errors.APIError as error:
                    if error.status_code != 409:
                        raise
                    kept.append(target)
                else:
                    removed.append(target)
        current = [find(client, reference(name)) for name in ("tools", "debugger")]
        volumes = tools_volume.remove_stale(client, *(str(image["Id"]) for image in current if image))
    return Stale((*removed, *volumes.removed), (*kept, *volumes.kept))


def _is_build_stage(image: Mapping[str, Any]) -> bool:
    tags = [tag for tag in image["RepoTags"] or () if tag != "<none>:<none>"]
    return not tags and image["Labels"][IMAGE_LABEL] == BUILD_STAGE
