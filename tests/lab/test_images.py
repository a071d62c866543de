"""Images and the tools volume on a real engine, with images of the test's own beside the real ones."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types
import pytest

from testbed.lab.docker import base_image, debian_packages, image_archive, images, tools_volume
from testbed.model.errors import ImageError, UsageError

pytestmark = pytest.mark.lab

DOCKERFILE = "ARG BASE\nFROM ${BASE}\nCOPY hello /\nLABEL bothends.image=%s\n"


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def name(client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An image of the test's own: a folder, an entry in the table, and its images removed afterwards."""
    name = f"test-{secrets.token_hex(4)}"
    images.ensure(client, ["base"], print)
    monkeypatch.setattr(images, "FOLDERS", tmp_path)
    monkeypatch.setattr(images, "DEFINITIONS", {**images.DEFINITIONS, name: images.Definition(name)})
    monkeypatch.setattr(images, "NAMES", ("base", name))
    (tmp_path / name).mkdir()
    (tmp_path / name / "Dockerfile").write_text(DOCKERFILE % name)
    (tmp_path / name / "hello").write_text(name)
    yield name
    for image in client.images.list(filters={"label": f"bothends.image={name}"}):
        for tag in image.tags:
            client.images.remove(tag)


def _with_own_client(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call as another process would: with a connection, and a lock, of its own."""
    with closing(docker.from_env()) as client:
        return function(client, *arguments)


def test_a_missing_image_is_built_once_and_then_found(client: docker.DockerClient, name: str) -> None:
    said: list[str] = []
    first = images.ensure(client, [name], said.append)
    assert any("building it" in line for line in said)
    said.clear()
    assert images.ensure(client, [name, name], said.append) == first
    assert said == []
    labels = client.images.get(first[name]).labels
    assert labels["bothends.image"] == name


def test_an_edited_folder_gives_another_image_and_the_old_one_can_be_removed(
    client: docker.DockerClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody made FROM the old one stays."""
    everything = images._labelled
    monkeypatch.setattr(  # the engine's other images are none of this test's business
        images, "_labelled", lambda client: [i for i in everything(client) if i["Labels"][images.IMAGE_LABEL] == name]
    )
    monkeypatch.setattr(tools_volume, "TOOLS_LABEL", f"bothends.tools.{name}")
    monkeypatch.setitem(images.DEFINITIONS, "tools", images.Definition("tools", parent=None))
    old = images.ensure(client, [name], print)[name]
    old_tag = images.reference(name)
    mine = f"{name}-mine:1"
    client.api.tag(old, mine)
    (images.FOLDERS / name / "hello").write_text("edited")
    new = images.ensure(client, [name], print)[name]
    assert new != old
    before = {entry.name: entry for entry in images.status(client)}
    assert before[name].id == new
    assert before[name].stale == (old_tag,)
    assert images.remove_stale(client, print) == images.Stale(removed=(old_tag,), kept=())
    assert {entry.name: entry.stale for entry in images.status(client)}[name] == ()
    assert client.images.get(mine).id == old


def test_two_that_ensure_at_the_same_time_build_once_and_agree(name: str) -> None:
    said: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        pending = [pool.submit(_with_own_client, images.ensure, [name], said.append) for _ in range(2)]
        first, second = (result.result() for result in pending)
    assert first == second
    assert sum("building it" in line for line in said) == 1


def test_several_are_made_side_by_side_and_what_they_share_once(
    client: docker.DockerClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their common first stage and their own beginnings come first; one that fails is named, and nothing more begun."""
    folders = [f"{name}-{number}" for number in range(3)]
    stage = f"ARG BASE\nFROM ${{BASE}} AS build\nLABEL bothends.image=compiler\nRUN echo {name} \\\n > /shared\n"
    more = {each: images.Definition(each) for each in folders}
    monkeypatch.setattr(images, "DEFINITIONS", {**images.DEFINITIONS, **more})
    for each in folders:
        (images.FOLDERS / each).mkdir()
        (images.FOLDERS / each / "hello").write_text(f"{each}\n")
        own = f"FROM ${{BASE}}\nRUN echo {each} > /own\n"
        rest = f"{own}COPY --from=build /shared /\nCOPY hello /\nLABEL bothends.image={name}\n"
        (images.FOLDERS / each / "Dockerfile").write_text(f"# {each}\n{stage}{rest}")
    said: list[str] = []
    try:
        made = images.ensure(client, [*folders, name], said.append)
        assert said[0] == f"images to be made: {', '.join([*folders, name])}"
        assert len(set(made.values())) == 4
        assert sum(line.startswith("compiler: step") for line in said) == 5
        assert sum("building it" in line and line.startswith(name) for line in said) == 4
        for each in folders:
            mine = [line for line in said if line.startswith(f"{each}: ")]
            begun = mine.index(f"{each}: no image {images.reference(each)}; building it")
            assert [line.split(" ", 3)[3] for line in mine[:begun] if "RUN" in line] == [f"RUN echo {each} > /own"]
            last = max(n for n, line in enumerate(said) if line.startswith("compiler: "))
            assert last < said.index(mine[begun])
            found = client.containers.run(made[each], ["cat", "/shared", "/own", "/hello"], remove=True)
            assert found.decode() == f"{name}\n{each}\n{each}\n"
        (images.FOLDERS / folders[1] / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN exit 3\n")
        with pytest.raises(ImageError, match=f"image {folders[1]} cannot be built"):
            images.ensure(client, folders, print)
    finally:
        for each in folders:
            for image in client.images.list(name=f"bothends/{each}"):
                for tag in image.tags:
                    client.images.remove(tag)


def test_a_failed_build_names_the_step_and_shows_the_output(client: docker.DockerClient, name: str) -> None:
    (images.FOLDERS / name / "Dockerfile").write_text(
        "ARG BASE\nFROM ${BASE}\nRUN echo first words; echo last words >&2; exit 3\n"
    )
    with pytest.raises(ImageError, match="cannot be built: a command ended with 3") as caught:
        images.ensure(client, [name], print)
    assert caught.value.state.startswith("step 3/3: RUN echo first words")
    assert "last words" in caught.value.last_output.splitlines()
    assert f"compose/{name}/Dockerfile" in caught.value.hint
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(images.reference(name))


def test_somebody_elses_image_is_used_if_it_is_here(client: docker.DockerClient, name: str) -> None:
    built = images.ensure(client, [name], print)[name]
    client.api.tag(built, f"{name}-foreign", "7")
    assert images.ensure(client, [f"{name}-foreign:7"], print) == {f"{name}-foreign:7": built}


def test_images_come_from_a_file_with_their_tags(client: docker.DockerClient, name: str, tmp_path: Path) -> None:
    """What was saved is the same image again after it was removed; a file without images is refused and named."""
    built = images.ensure(client, [name], print)[name]
    image_archive.save(client, [images.reference(name)], tmp_path / "images.tar")
    client.images.remove(images.reference(name))
    image_archive.load(client, tmp_path / "images.tar")
    assert client.images.get(images.reference(name)).id == built
    assert [path.name for path in tmp_path.glob("*.tar*")] == ["images.tar"]
    (tmp_path / "other.tar").write_bytes(b"no tar file at all" * 100)
    with pytest.raises(ImageError, match=r"other\.tar holds no images"):
        image_archive.load(client, tmp_path / "other.tar")
    with pytest.raises(UsageError, match="there is no file"):
        image_archive.load(client, tmp_path / "missing.tar")
    with pytest.raises(ImageError, match="cannot be packed"):
        image_archive.save(client, ["bothends/no-such-image:1"], tmp_path / "nothing.tar")
    assert not list(tmp_path.glob("nothing*"))


def test_an_image_that_exists_nowhere_is_named(client: docker.DockerClient) -> None:
    with pytest.raises(ImageError, match=r"image no-such-registry\.invalid/nothing:1 is neither here nor") as caught:
        images.ensure(client, ["no-such-registry.invalid/nothing:1"], print)
    assert "cannot pull" in caught.value.state


def test_a_debian_that_is_here_becomes_the_base(client: docker.DockerClient, name: str, monkeypatch: Any) -> None:
    built = images.ensure(client, [name], print)[name]
    client.api.tag(built, name, "debian")
    monkeypatch.setattr(base_image, "AS_GOOD", (f"{name}:debian",))
    monkeypatch.setattr(base_image, "REPOSITORY", f"{name}-base")
    said: list[str] = []
    base_image.provide(client, said.append)
    assert said == [f"base: {name}:debian is here already"]
    assert client.images.get(f"{name}-base:{base_image.VERSION}").id == built


@pytest.fixture
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_image, "WANTED", "no-such-registry.invalid/debian:1")
    monkeypatch.setattr(base_image, "AS_GOOD", ("no-such-registry.invalid/debian:1",))


@pytest.mark.usefixtures("_nowhere")
def test_without_root_the_error_says_how_to_get_a_base(
    client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian_packages, "is_debian", lambda: True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ImageError, match="only root can make one") as caught:
        base_image.provide(client, print)
    assert "-m testbed.tasks.command images" in caught.value.hint
    assert "docker load" in caught.value.hint
    assert "cannot pull" in caught.value.state


@pytest.mark.slow
@pytest.mark.usefixtures("_nowhere")
def test_a_base_can_be_made_from_debian_packages_and_apt_works_in_it(
    client: docker.DockerClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is said, nothing stays in /var/tmp, and `apt-get update` works in a build from it."""
    if not debian_packages.is_debian() or os.geteuid() != 0:
        pytest.skip("only root on Debian can make a base image")
    monkeypatch.setattr(base_image, "REPOSITORY", f"{name}-base")
    monkeypatch.setattr(base_image, "TAG", f"{name}-base:{base_image.VERSION}")
    monkeypatch.setattr(base_image, "LABEL", f"LABEL bothends.image={name}")
    before = set(Path("/var/tmp").iterdir())  # noqa: S108 - where the base is unpacked
    said: list[str] = []
    base_image.provide(client, said.append)
    assert any("cannot pull" in line and "making it from Debian packages" in line for line in said)
    assert set(Path("/var/tmp").iterdir()) <= before  # noqa: S108
    (images.FOLDERS / name / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN apt-get update\nCOPY hello /\n")
    built = images.ensure(client, [name], print)[name]
    client.images.remove(images.reference(name))
    assert built


def _contents(client: docker.DockerClient, image: str, volume: str) -> dict[str, int]:
    """Return the sizes of the files in a volume, by way of a container that is never started."""
    mount = docker.types.Mount(tools_volume.TOOLS_DIRECTORY, volume, type="volume", read_only=True, no_copy=True)
    container = client.containers.create(image, ["none"], mounts=[mount])
    try:
        stream, _ = container.get_archive(tools_volume.TOOLS_DIRECTORY)
        packed = io.BytesIO(b"".join(stream))
    finally:
        container.remove()
    with tarfile.open(fileobj=packed) as archive:
        return {Path(member.name).name: member.size for member in archive if member.isfile()}


@pytest.fixture
def tools(client: docker.DockerClient, name: str) -> Iterator[str]:
    """An image with a tools directory of the test's own; its volumes are removed afterwards."""
    (images.FOLDERS / name / "Dockerfile").write_text(
        f"ARG BASE\nFROM ${{BASE}}\nCOPY hello {tools_volume.TOOLS_DIRECTORY}/agent\nLABEL bothends.image={name}\n"
    )
    image = images.ensure(client, [name], print)[name]
    yield image
    for volume in client.volumes.list(filters={"label": f"bothends.tools={_version(image)}"}):
        volume.remove()


def _version(image: str) -> str:
    return image.removeprefix("sha256:")[:12]


def test_the_tools_volume_is_filled_once_and_leaves_no_container(
    client: docker.DockerClient, tools: str, name: str
) -> None:
    said: list[str] = []
    volume = images.ensure_tools_volume(client, tools, said.append)
    assert said == ["tools: filling the volume that brings them into every host"]
    assert _contents(client, tools, volume) == {"agent": len(name)}
    assert images.ensure_tools_volume(client, tools, said.append) == volume
    assert len(said) == 1
    assert client.containers.list(all=True, filters={"ancestor": tools}) == []


def test_a_volume_that_was_never_completed_is_not_used(client: docker.DockerClient, tools: str, name: str) -> None:
    """As if the engine had died while it copied: a volume of this version exists, but nobody published it."""
    version = _version(tools)
    half = client.volumes.create(f"bothends-tools-{version}-half", labels={"bothends.tools": version})
    volume = images.ensure_tools_volume(client, tools, print)
    assert volume != half.name
    assert _contents(client, tools, volume) == {"agent": len(name)}


def test_a_tools_volume_that_somebody_removed_is_filled_again(
    client: docker.DockerClient, tools: str, name: str
) -> None:
    first = images.ensure_tools_volume(client, tools, print)
    client.volumes.get(first).remove()
    second = images.ensure_tools_volume(client, tools, print)
    assert second != first
    assert _contents(client, tools, second) == {"agent": len(name)}


def test_those_who_fill_the_volume_at_the_same_time_agree_on_one(client: docker.DockerClient, tools: str) -> None:
    """The losers' volumes are removed: one filled volume and the one that names it stay."""
    with ThreadPoolExecutor(4) as pool:
        pending = [pool.submit(_with_own_client, images.ensure_tools_volume, tools, print) for _ in range(4)]
        volumes = {result.result() for result in pending}
    assert len(volumes) == 1
    left = client.volumes.list(filters={"label": f"bothends.tools={_version(tools)}"})
    assert {volume.name for volume in left} == volumes | {f"bothends-tools-{_version(tools)}"}


def test_volumes_of_old_tools_are_removed_and_those_in_use_kept(
    client: docker.DockerClient, tools: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = f"bothends.tools.{secrets.token_hex(4)}"  # the engine's other volumes are none of this test's business
    monkeypatch.setattr(tools_volume, "TOOLS_LABEL", label)
    current = images.ensure_tools_volume(client, tools, print)
    idle = client.volumes.create(labels={label: "old"})
    used = client.volumes.create(labels={label: "old"})
    container = client.containers.create(tools, ["none"], volumes={used.name: {"bind": "/mnt"}})
    try:
        done = tools_volume.remove_stale(client, tools)
        assert done == tools_volume.Removal(removed=(idle.name,), kept=(used.name,))
        assert images.ensure_tools_volume(client, tools, print) == current
    finally:
        container.remove()
        for volume in client.volumes.list(filters={"label": label}):
            volume.remove()


def test_nginx_and_curl_work_unmodified_with_a_read_only_root_and_no_capability(client: docker.DockerClient) -> None:
    ids = images.ensure(client, ["nginx", "curl"], print)
    hardened: dict[str, Any] = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
    server = client.containers.run(
        ids["nginx"],
        ["nginx", "-c", "/etc/bothends/nginx.conf", "-g", "daemon off;"],
        detach=True,
        network_mode="none",
        tmpfs={"/tmp": "mode=1777", "/run": "mode=0755"},  # noqa: S108 - in the container
        **hardened,
    )
    try:
        fetched = client.containers.run(
            ids["curl"],
            ["sh", "-c", "curl -s --retry 20 --retry-connrefused http://127.0.0.1:8080/file.bin | sha256sum"],
            network_mode=f"container:{server.id}",
            remove=True,
            **hardened,
        )
        content = b"".join(b"%07d\n" % number for number in range(131072))
        assert fetched.split()[0].decode() == hashlib.sha256(content).hexdigest()
        assert b"[emerg]" not in server.logs()
        assert b"[warn]" not in server.logs()
    finally:
        server.remove(force=True)
