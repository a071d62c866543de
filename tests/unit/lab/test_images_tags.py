"""Image tags, build contexts and what counts as out of date: no Docker."""

from __future__ import annotations

import io
import tarfile
from collections import deque
from typing import Any

import pytest

from testbed.lab.docker import base_image, image_build, images


def test_every_folder_with_a_dockerfile_is_in_the_table_and_the_other_way_round() -> None:
    """But for the tool's own, which is in no lab."""
    folders = {path.parent.name for path in images.FOLDERS.glob("*/Dockerfile")} - {"bothends"}
    assert folders | {"base"} == set(images.NAMES)


def test_a_tag_changes_with_contents_names_and_parent_and_with_nothing_else() -> None:
    same = images.content_hash({"a": b"1", "b": b"2"}, "parent")
    assert images.content_hash({"b": b"2", "a": b"1"}, "parent") == same
    others = [
        images.content_hash({"a": b"1", "b": b"3"}, "parent"),
        images.content_hash({"a": b"1", "c": b"2"}, "parent"),
        images.content_hash({"a": b"12", "b": b""}, "parent"),
        images.content_hash({"a": b"1", "b": b"2"}, "other parent"),
    ]
    assert len({same, *others}) == 5


def test_the_base_has_one_tag_however_it_came_to_be() -> None:
    assert images.reference("base") == base_image.TAG


def test_a_foreign_reference_is_left_as_it_is_and_is_not_ours() -> None:
    assert images.reference("nginx:latest") == "nginx:latest"
    assert not images.is_ours("nginx:latest")
    assert images.is_ours("nginx")


def test_hidden_files_and_editors_leftovers_do_not_change_an_image(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = tmp_path_factory.mktemp("compose")
    (folders / "host/sub").mkdir(parents=True)
    for path in ("Dockerfile", "Dockerfile~", ".Dockerfile.swp", "sub/kept", "sub/.hidden"):
        (folders / "host" / path).write_text(path)
    monkeypatch.setattr(images, "FOLDERS", folders)
    assert images.definition_files("host") == {"Dockerfile": b"Dockerfile", "sub/kept": b"sub/kept"}


def test_an_image_of_c_programs_is_built_from_all_of_their_sources_without_their_tests(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit in any folder that it shares with others gives another tag; an edit of a unit test does not."""
    folders = tmp_path_factory.mktemp("compose")
    for path in ("Makefile", "common/a.c", "common/tests/test_a.c", "link/Dockerfile", "link/link.c", "probe/probe.c"):
        (folders / path).parent.mkdir(exist_ok=True, parents=True)
        (folders / path).write_text(path)
    monkeypatch.setattr(images, "FOLDERS", folders)
    assert list(images.definition_files("link")) == ["Makefile", "common/a.c", "link/Dockerfile", "link/link.c"]


def copied(dockerfile: str) -> list[str]:
    """Return what a Dockerfile copies out of its build context."""
    lines = [line.split() for line in dockerfile.splitlines() if line.startswith("COPY ")]
    return [word for words in lines for word in words[1:-1] if not word.startswith(("-", "/"))]


def test_what_a_dockerfile_copies_is_in_its_context() -> None:
    found: list[str] = []
    missing: list[str] = []
    for name in images.NAMES:
        files = images.definition_files(name) if name != "base" else {}
        dockerfile = next((text.decode() for path, text in files.items() if path.endswith("Dockerfile")), "")
        found += copied(dockerfile)
        missing += [
            source
            for source in copied(dockerfile)
            if source != "." and not any(path == source or path.startswith(f"{source}/") for path in files)
        ]
    assert len(found) > 5
    assert missing == []


def test_a_build_context_is_the_same_bytes_each_time_and_holds_the_files() -> None:
    files = {"Dockerfile": b"FROM x\n", "sub/a.c": b"int a;\n"}
    packed = image_build._context(files).getvalue()
    assert packed == image_build._context(dict(reversed(files.items()))).getvalue()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["Dockerfile", "sub/a.c"]


def test_only_tags_of_ours_that_are_not_current_are_out_of_date() -> None:
    """An image that somebody made FROM ours inherits the label and must be left alone."""
    label = images.IMAGE_LABEL
    listed: list[dict[str, Any]] = [
        {"Labels": {label: "host"}, "RepoTags": [images.reference("host")]},
        {"Labels": {label: "host"}, "RepoTags": ["bothends/host:0123456789ab", "mine:1"]},
        {"Labels": {label: "host"}, "RepoTags": ["mine:2"]},
        {"Labels": {label: "host"}, "RepoTags": None},
    ]
    assert images._stale_tags(listed) == {"host": ["bothends/host:0123456789ab"]}


def test_only_untagged_first_stages_count_as_left_over() -> None:
    label = images.IMAGE_LABEL
    stage = {"Labels": {label: images.BUILD_STAGE}, "RepoTags": ["<none>:<none>"]}
    assert images._is_build_stage(stage)
    assert not images._is_build_stage({**stage, "RepoTags": ["mine:1"]})
    assert not images._is_build_stage({"Labels": {label: "host"}, "RepoTags": None})


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("write /x: no space left on device", "free disk space"),
        ("Err:1 Temporary failure resolving 'mirror.invalid'", "cannot reach the Debian packages"),
        ("E: Release file for x is not valid yet (invalid for another 3h)", "the clock"),
        ("agent.c:3: error: expected ';'", "look at compose/tools/Dockerfile"),
    ],
)
def test_a_failed_build_says_what_to_do_by_what_was_printed(output: str, hint: str) -> None:
    error = image_build._failure("tools", "step 2/3: RUN x", "x", deque([output]))
    assert hint in error.hint
    assert error.last_output == output
    assert error.state == "step 2/3: RUN x"
