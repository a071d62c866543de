"""Read what of the user's own a scenario names: files to copy into a host, and the folder that an image is built of.

A path is relative to the scenario's file. It may lead up, as far as the top of the git repository that the scenario is
in; without a repository, not out of the scenario's folder. A symbolic link is followed, under the same rule, so that a
scenario from somewhere else reads nothing that the one who runs it has not put beside it. All of it is reported at its
place in the file.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from testbed.model import Host
from testbed.model.errors import ScenarioError
from testbed.model.host_files import BuildContext, HostFile
from testbed.scenario.language.base import nearest
from testbed.scenario.language.own_paths import placed_files
from testbed.scenario.language.yaml_source import Problem, SourceText, read, shown_path
from testbed.scenario.scenario import HostSpec, Scenario

DOCKERFILE = "Dockerfile"
IGNORED = ".dockerignore"
LEFT_OUT = frozenset({".git", "__pycache__"})
"""Folders that are never copied."""
MOST_FILES = 20_000
MOST_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class OwnParts:
    """What of the user's own comes into one host.

    ``starts_in`` is the directory in which its command starts, empty for the image's own.
    """

    files: tuple[HostFile, ...] = ()
    build: BuildContext | None = None
    starts_in: str = ""


NOTHING = OwnParts()


class _Refused(Exception):  # noqa: N818 - becomes a problem at a place in the file
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message, self.hint = message, hint


def own_parts(scenario: Scenario) -> Mapping[Host, OwnParts]:
    """Return what of the user's own each host gets. Raises ScenarioError with every path that cannot be used."""
    if not any(spec.files.pairs or spec.built_of or spec.workdir for spec in scenario.hosts.values()):
        return MappingProxyType({})
    problems: list[tuple[tuple[str | int, ...], bool, _Refused]] = []
    found = {host: _of_host(host, spec, scenario.path.parent, problems) for host, spec in scenario.hosts.items()}
    if problems:
        root, _ = read(scenario.source)
        assert root is not None  # noqa: S101 - it was loaded
        places = [Problem(root.find(at, key=key), refused.message, refused.hint) for at, key, refused in problems]
        raise ScenarioError(SourceText(shown_path(scenario.path), scenario.source).report(places))
    return found


def _of_host(
    host: Host, spec: HostSpec, beside: Path, problems: list[tuple[tuple[str | int, ...], bool, _Refused]]
) -> OwnParts:
    reader = _Reader(beside)
    starts_in = spec.workdir or ""
    for index, (source, target) in enumerate(placed_files(spec.files)):
        try:
            if reader.take(source, target) and spec.files.alone:
                starts_in = starts_in or target
        except _Refused as refused:
            listed = (index,) if not spec.files.alone else ()
            problems.append(((host, "files", source, *listed), True, refused))
    build = None
    if spec.built_of:
        try:
            build = _build_context(_Reader(beside), spec.built_of)
        except _Refused as refused:
            problems.append(((host, "build" if spec.build else "image"), False, refused))
    return OwnParts(tuple(sorted(reader.files.values(), key=lambda each: each.path)), build, starts_in)


@dataclass
class _Reader:
    """Files read so far, by their path in the host."""

    beside: Path
    files: dict[str, HostFile] = field(default_factory=dict)
    size: int = 0

    @property
    def limit(self) -> Path:
        """The folder out of which no path may lead."""
        folder = self.beside.resolve()
        return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)

    def find(self, source: str) -> Path:
        """Return where a path of the scenario's leads. Raises _Refused."""
        path = self.beside / source
        try:
            real = path.resolve(strict=True)
        except FileNotFoundError:
            folder = path.parent
            names = tuple(sorted(each.name for each in folder.iterdir())) if folder.is_dir() else ()
            raise _Refused(
                f"`{source}` is not there{nearest(path.name, names)}", f"looked for {shown_path(path)}"
            ) from None
        except (OSError, RuntimeError) as error:  # a loop of links
            raise _Refused(f"`{source}` cannot be followed: {error}") from error
        self.keep_within(real, source)
        return real

    def keep_within(self, real: Path, source: str) -> None:
        """Raise _Refused for what lies outside."""
        limit = self.limit
        if not real.is_relative_to(limit):
            what = "the git repository" if (limit / ".git").exists() else "the scenario's folder"
            raise _Refused(
                f"`{source}` leads out of {what} {shown_path(limit)}",
                f"it is {real}: copy it into the folder, or `git init` above both",
            )

    def take(self, source: str, target: str) -> bool:
        """Read a file or all of a folder; return whether it is a folder. Raises _Refused."""
        real = self.find(source)
        if not real.is_dir():
            self._add(real, source, target)
            return False
        before = len(self.files)
        for path, below in self._walk(real, source, ()):
            self._add(path, f"{source.rstrip('/')}/{below}", f"{target}/{below}")
        if len(self.files) == before:
            raise _Refused(f"`{source}` holds no file")
        return True

    def _walk(self, folder: Path, source: str, above: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
        """Yield the files below a folder: where each is, and its path below it."""
        try:
            entries = sorted(os.scandir(folder), key=lambda each: each.name)
        except OSError as error:
            raise _Refused(f"`{source}` cannot be read: {error.strerror}") from error
        for entry in entries:
            if entry.name in LEFT_OUT:
                continue
            inner = f"{source.rstrip('/')}/{entry.name}"
            path = Path(entry.path)
            if entry.is_symlink():
                try:
                    path = path.resolve(strict=True)
                except (OSError, RuntimeError) as error:
                    raise _Refused(f"`{inner}` is a symbolic link that leads nowhere") from error
                self.keep_within(path, inner)
            if not path.is_dir():
                yield path, entry.name
            elif path in (folder, *above):
                raise _Refused(f"`{inner}` is a symbolic link to a folder that it is in")
            else:
                for found, below in self._walk(path, inner, (folder, *above)):
                    yield found, f"{entry.name}/{below}"

    def _add(self, path: Path, source: str, target: str) -> None:
        try:
            described = path.stat()
            if not stat.S_ISREG(described.st_mode):
                raise _Refused(f"`{source}` is neither a file nor a folder")
            content = path.read_bytes()
        except OSError as error:
            raise _Refused(f"`{source}` cannot be read: {error.strerror}") from error
        if not target.isprintable():
            raise _Refused(f"`{source}` has a name that cannot be shown: {source!r}")
        self.size += len(content)
        if len(self.files) >= MOST_FILES or self.size > MOST_BYTES:
            raise _Refused(
                f"`{source}` is too much: at most {MOST_FILES:,} files and {MOST_BYTES >> 20} MiB are copied",
                "name what the program needs, or `build:` an image",
            )
        parents = {str(parent) for parent in Path(target).parents}
        if target in self.files or not parents.isdisjoint(self.files) or f"{target}/" in _folders(self.files, target):
            raise _Refused(f"two of the files would be at `{target}`")
        self.files[target] = HostFile(target, content, described.st_mode & 0o555 | 0o400, source)


def _folders(files: Mapping[str, HostFile], target: str) -> set[str]:
    return {f"{target}/" for path in files if path.startswith(f"{target}/")}


def _build_context(reader: _Reader, source: str) -> BuildContext:
    """Return a Dockerfile's folder as docker(1) sends it, without what .dockerignore names. Raises _Refused."""
    real = reader.find(source)
    folder, name = (real, DOCKERFILE) if real.is_dir() else (real.parent, real.name)
    if not (folder / name).is_file():
        raise _Refused(f"`{source}` has no {DOCKERFILE}", f"looked for {shown_path(folder / name)}")
    reader.take(source if real.is_dir() else posixpath.dirname(source) or ".", "")
    if (folder / IGNORED).is_file():
        from docker.utils.build import exclude_paths

        lines = (folder / IGNORED).read_text(encoding="utf-8").splitlines()
        patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        wanted = exclude_paths(str(folder), patterns, dockerfile=name)
        reader.files = {path: each for path, each in reader.files.items() if path.lstrip("/") in wanted}
    files = [replace(each, path=path.lstrip("/")) for path, each in sorted(reader.files.items())]
    return BuildContext(name, tuple(files))
