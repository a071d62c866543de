"""The wheel, installed outside the tree: the command, the Collection, pytest's plugin, in empty repositories."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import yaml
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from dev.new_machine import PLAIN_USER as NEW_MACHINE_USER
from dev.new_machine import build_wheel, enter, furnish, unpack_image
from testbed.lab.choose_engine import DOCKER, NAMESPACE
from testbed.lab.docker import images

from .conftest import LIMIT, ROOT

LARGEST = 10_000_000
OLDEST_GLIBC = (2, 34)
"""README.md, Known limits: the oldest C library of which the probe works."""
STATIC = ("launch", "witness", "tools/agent", "tools/hold", "tools/link")
PLAIN_USER = 12345
PLAIN_PYTHON = "/usr/bin/python3"

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory outside the tree that a plain user can read; pytest's own is closed to others."""
    path = Path(tempfile.mkdtemp(prefix="package-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def wheel(place: Path) -> Path:
    """This machine's platform wheel, built with what these tests' environment has."""
    return build_wheel(place / "dist")


@dataclass(frozen=True)
class Installed:
    """The environment with the wheel."""

    bin: Path
    packages: Path
    home: Path

    def __call__(self, *words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.bin}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.home), **variables}
        if "DOCKER_HOST" in os.environ:
            environment["DOCKER_HOST"] = os.environ["DOCKER_HOST"]
        words = (str(self.bin / words[0]), *words[1:])
        return subprocess.run(
            words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )


@pytest.fixture(scope="module")
def installed(wheel: Path, place: Path) -> Installed:
    """A new environment with the wheel; what it depends on is that of the environment of these tests."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    (packages,) = (place / "venv/lib").glob("python*/site-packages")
    dependencies = Path(pytest.__file__).parents[1]
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")
    python = str(place / "venv/bin/python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-compile", str(wheel)], check=True)
    (place / "home").mkdir()
    return Installed(place / "venv/bin", packages, place / "home")


def git(directory: Path, *words: str) -> list[str]:
    """Return what git prints in a directory, split at spaces."""
    command = ["git", "-c", f"safe.directory={directory}", "-C", str(directory), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with nothing in it."""
    git(tmp_path, "init", "--quiet")
    return tmp_path


def test_the_wheel_is_small_whole_and_for_this_platform(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST
    assert wheel.name.endswith(f"-py3-none-manylinux_{OLDEST_GLIBC[0]}_{OLDEST_GLIBC[1]}_{platform.machine()}.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    assert len(names) == len(set(names))
    for folder in ("compose", "scenarios"):
        tracked = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", folder)
        wanted = {path for path in tracked if "/tests/" not in path}
        assert len(wanted) > 50
        assert wanted == {name.removeprefix("testbed/shipped/") for name in names if f"shipped/{folder}/" in name}
    python = {path.relative_to(ROOT).as_posix() for path in (ROOT / "testbed").rglob("*.py")}
    assert python <= set(names)
    assert {"testbed/py.typed", "testbed/scenario/schema.json", "testbed/report/html/assets/app.js"} <= set(names)


def test_what_is_built_is_as_an_index_wants_it(wheel: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", wheel], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tools_need_no_newer_c_library_than_the_wheel_says(installed: Installed) -> None:
    """Those that nothing is preloaded into need none at all."""
    tools = installed.packages / f"testbed/shipped/tools/linux-{platform.machine()}"
    programs = [path for path in tools.rglob("*") if path.is_file()]
    assert {"libprobe.so", "actor", *(name.split("/")[-1] for name in STATIC)} <= {path.name for path in programs}
    for path in programs:
        with path.open("rb") as file:
            elf = ELFFile(file)
            needed = [
                tuple(map(int, version.name.removeprefix("GLIBC_").split(".")))
                for section in elf.iter_sections()
                if isinstance(section, GNUVerNeedSection)
                for _, versions in section.iter_versions()
                for version in versions
                if version.name.startswith("GLIBC_2")
            ]
            assert max(needed, default=(0,)) <= OLDEST_GLIBC, path
            if path.relative_to(tools).as_posix() in STATIC:
                assert not needed


@pytest.mark.parametrize("engine", [DOCKER, NAMESPACE])
def test_from_an_empty_repository_to_a_run(
    engine: str, installed: Installed, repository: Path, request: pytest.FixtureRequest
) -> None:
    """`bothends init`, and its scenario and one of the catalogue run; no compiler is called."""
    request.getfixturevalue("engine" if engine == DOCKER else "namespaces")
    begun = installed("bothends", "init", cwd=repository)
    assert begun.returncode == 0, begun.stderr
    left = git(repository, "status", "--short", "-uall")[1::2]
    assert left == [".github/workflows/wire.yml", ".gitignore", "wire/first.wire.yaml"]
    again = installed("bothends", "init", cwd=repository)
    assert again.stdout.count("is there already") == 2
    for name in ("first", "connect-send-close") if engine == NAMESPACE else ("first",):
        ran = installed("bothends", "run", name, "--engine", engine, "--json", cwd=repository, CC="/nonexistent")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert json.loads(ran.stdout)["outcome"] == "pass"
        assert "compiling" not in ran.stderr
        assert (repository / "runs" / name / "latest/result.json").exists()
    assert not [path for path in git(repository, "status", "--short", "-uall") if path.startswith("runs")]


def test_as_a_plain_user(installed: Installed, namespaces: None, place: Path) -> None:
    """With nothing but Python: no right, no compiler, no cache yet."""
    del namespaces
    usable = [PLAIN_PYTHON, "-c", "import sys; sys.exit(sys.version_info[:2] != " + repr(sys.version_info[:2]) + ")"]
    if not Path(PLAIN_PYTHON).exists() or subprocess.run(usable, check=False).returncode:
        pytest.skip("no Python for a plain user")
    home = place / "plain"
    home.mkdir()
    plain = PLAIN_USER if os.geteuid() == 0 else None
    if plain is not None:
        os.chown(home, plain, plain)
    paths = os.pathsep.join([str(installed.packages), str(Path(pytest.__file__).parents[1])])
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    words = [PLAIN_PYTHON, "-m", "testbed.tasks.command", "run", "connect-send-close", "--engine", NAMESPACE]
    done = subprocess.run(
        words,
        cwd=home,
        env={**environment, "CC": "/nonexistent"},
        user=plain,
        group=plain,
        extra_groups=None if plain is None else [],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS" in done.stdout
    assert "unpacking" in done.stderr


@pytest.fixture
def new_machine(engine: docker.DockerClient, place: Path) -> Path:
    """A minimal Debian with nothing in it but Python: the base of our images, as debootstrap makes it (minbase)."""
    if os.geteuid() != 0:
        pytest.skip("only root can make another system's root")
    root = place / "machine"
    unpack_image(engine, images.ensure(engine, ["base"], print)["base"], root)
    furnish(root)
    return root


def test_on_a_machine_with_nothing_on_it(installed: Installed, new_machine: Path, namespaces: None) -> None:
    """A minimal Debian, Python and the wheel: no tcpdump, no iproute2, no compiler, no Docker; a plain user, then root.

    `python -m dev.new_machine` does the same with a system from debootstrap and packages from the index.
    """
    del namespaces
    version = enter(new_machine, "python3 -c 'import sys; print(*sys.version_info[:2])'").stdout.split()
    if [int(word) for word in version] != [*sys.version_info[:2]]:
        pytest.skip(f"these tests' environment is not for Debian's Python ({'.'.join(version)})")
    for program in ("tcpdump", "ip", "ethtool", "iptables", "cc", "make", "docker"):
        assert not [path for path in (new_machine / "usr").glob(f"*bin/{program}") if path.exists()], program
    seen = {"/opt/packages": installed.packages, "/opt/dependencies": Path(pytest.__file__).parents[1]}
    environment = {"PYTHONPATH": ":".join(seen), "PYTHONDONTWRITEBYTECODE": "1"}
    for user in (NEW_MACHINE_USER, 0):
        script = "cd && python3 -m testbed.tasks.command run connect-send-close"
        done = enter(new_machine, script, user=user, environment=environment, seen=seen)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "PASS" in done.stdout
        assert "unpacking ip, tcpdump" in done.stderr
        assert "compiling" not in done.stderr


def test_the_collection_in_somebodys_own_tasks(installed: Installed, repository: Path, namespaces: None) -> None:
    """Configured there; messages name commands as they were typed; tasks of theirs are left as they are."""
    del namespaces
    (repository / "tasks.py").write_text(
        "from invoke import Collection, task\nfrom testbed.tasks import ns as wire\n"
        "wire.configure({'bothends': {'engine': 'namespace', 'scenarios': 'nets', 'runs': 'out'}})\n"
        "@task(positional=['words'], iterable=['words'])\ndef say(context, words):\n    print(*words)\n"
        "ns = Collection(say, wire=wire)\n"
    )
    (repository / "nets").mkdir()
    made = installed("bothends", "new", "mine", cwd=repository)
    (repository / "wire/mine.wire.yaml").rename(repository / "nets/mine.yaml")
    assert "`bothends run mine`" in made.stdout
    ran = installed("python", "-m", "invoke", "wire.run", "mine", "connect-send-close", "--quiet", cwd=repository)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (repository / "out/runs/mine/latest").exists()
    wrong = installed("python", "-m", "invoke", "wire.run", "minne", cwd=repository)
    assert (wrong.returncode, "did you mean mine?" in wrong.stderr) == (2, True), wrong.stderr
    none = installed("python", "-m", "invoke", "wire.run", cwd=repository)
    assert "`invoke wire.list`" in none.stderr
    theirs = installed("python", "-m", "invoke", "say", "--frob", cwd=repository)
    assert (theirs.returncode, "to do" in theirs.stderr) == (1, False)


PYTHON_TESTS = """\
import pytest

def test_passes(bothends):
    result = bothends.run("wire/first.wire.yaml", set={"link.delay": "1ms"})
    assert result.ledger.client.read == 5

def test_fails(bothends):
    assert bothends.run("first").ledger.server.read == 3

def test_lab(bothends):
    with bothends.lab(observe={"client": "probe", "server": "probe"}) as lab:
        lab.start("server", ["python3", "-m", "http.server", "8000"], ready=8000)
        lab.run("client", ["python3", "-c", "import urllib.request as u; u.urlopen('http://server:8000/').read()"])
    assert lab.result.ledger.server.read == lab.result.ledger.server.written > 100
"""
FAILING = """\
summary: The server expects more than is sent
matrix: {link.delay: [1ms, 2ms]}
server: {steps: [{listen: 5000}, {accept: }, {recv_all: }, {close: }]}
client: {steps: [{connect: "server:5000"}, {send: hello}, {close: }]}
expect:
  - {ledger: {client: {written: 5, read: 5}}}
  - {ledger: {client: {read: 6}}}
"""


def test_the_plugin_of_pytest(installed: Installed, repository: Path, namespaces: None) -> None:
    """The fixture, scenario files as tests with file and line, side by side, and the report of what failed is kept."""
    del namespaces
    installed("bothends", "init", "--ci", "none", cwd=repository)
    (repository / "test_wire.py").write_text(PYTHON_TESTS)
    (repository / "wire/more.wire.yaml").write_text(FAILING)
    pytest_ = [*("-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider"), "--bothends-engine", NAMESPACE]
    done = installed("python", *pytest_, "-n", "2", cwd=repository)
    assert re.search(r"\b3 failed, 3 passed", done.stdout), done.stdout + done.stderr
    assert "assert 2 == 3" in done.stdout
    assert done.stdout.count("\nwire/more.wire.yaml:7: does not hold: ") == 2
    reports = [Path(path) for path in re.findall(r"^report: (.*)$", done.stdout, re.MULTILINE)]
    assert len(set(reports)) == 3
    assert {path.is_file() for path in reports} == {True}
    chosen = installed("python", *pytest_, "-m", "not bothends", "--collect-only", cwd=repository)
    assert "3 tests collected" in chosen.stdout or "3/6 tests collected" in chosen.stdout, chosen.stdout


def test_the_github_action_shows_a_summary_and_keeps_what_failed(
    installed: Installed, repository: Path, namespaces: None
) -> None:
    """Its own steps, carried out after the one that installs: a red job with the run that failed, and only that."""
    del namespaces
    (repository / "pyproject.toml").write_text("[tool.bothends]\nengine = 'namespace'\n")
    installed("bothends", "init", cwd=repository)
    (repository / "wire/more.wire.yaml").write_text(FAILING.replace("matrix", "# matrix"))
    runner = repository / "runner"
    (runner / "bothends").mkdir(parents=True)
    (runner / "bothends/bin").symlink_to(installed.bin)
    variables = {"RUNNER_TEMP": str(runner), "BOTHENDS_RUN": "--all", "GITHUB_STEP_SUMMARY": str(runner / "shown.md")}
    steps = {step.get("name"): step for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]}
    codes = {}
    for name in ("Run", "Summary", "Leave out what passed"):
        (runner / "step.sh").write_text(steps[name]["run"])
        command = [
            "bash",
            "--noprofile",
            "--norc",
            "-e",
            "-o",
            "pipefail",
            str(runner / "step.sh"),
        ]  # as the runner does
        environment = {"PATH": os.environ["PATH"], "HOME": str(installed.home), **variables}
        done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
        codes[name] = done.returncode
    assert codes == {"Run": 1, "Summary": 0, "Leave out what passed": 0}
    assert "more" in (runner / "shown.md").read_text()
    left = {path.parent.parent.name for path in (runner / "bothends-runs/runs").glob("*/*/report.html")}
    assert left == {"more"}
    assert (runner / "bothends-runs/junit.xml").is_file()


def test_the_tutorial_from_an_empty_repository_to_a_red_build(
    installed: Installed, repository: Path, namespaces: None
) -> None:
    """docs/tutorial-ci.md as it stands, on namespaces: files written, commands typed, the last of them fails."""
    del namespaces
    page = (ROOT / "docs/tutorial-ci.md").read_text(encoding="utf-8")
    steps = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert [language for language, _ in steps] == ["sh", "python", "sh", "yaml", "sh", "python", "sh", "text"]
    done = []
    for language, text in steps[:-1]:
        if language != "sh":
            path = repository / text.splitlines()[0].removeprefix("# ")
            path.write_text(text)
            continue
        for line in text.splitlines():
            if line.startswith(("git init", "pip install")):
                continue  # the fixtures did
            author = [f"GIT_{who}_{what}=x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
            command = ["env", *author, "DOCKER_HOST=unix:///nonexistent", f"PATH={installed.bin}:{os.environ['PATH']}"]
            command += ["sh", "-c", line]
            done.append(subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False))
    assert [each.returncode for each in done] == [0, 0, 0, 1], [each.stdout + each.stderr for each in done]
    said = " ".join(done[-1].stdout.split())
    assert " ".join(steps[-1][1].split()) in said, said
    assert re.search(r"actual: .*read 10\b", said), said
    assert re.search(r"#1 from client 17 17 17 \d+ 10 7 unread", said), said
    assert "order" in (repository / "bothends/summary.md").read_text()
    assert list(repository.glob("runs/order/*/report.html"))


def test_where_no_engine_can_make_the_run(installed: Installed, repository: Path) -> None:
    """Skipped with the reason; failed under --bothends-required. No kernel of our own is in this home."""
    installed("bothends", "init", "--ci", "none", cwd=repository)
    pytest_ = [*("-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"), "--bothends-engine", "uml"]
    skipped = installed("python", *pytest_, cwd=repository)
    assert "1 skipped" in skipped.stdout, skipped.stdout + skipped.stderr
    assert "SKIPPED [1]" in skipped.stdout
    assert "kernel" in skipped.stdout
    assert "1 failed" in installed("python", *pytest_, "--bothends-required", cwd=repository).stdout


def test_nothing_of_it_is_loaded_by_a_pytest_that_does_not_use_it(installed: Installed, repository: Path) -> None:
    (repository / "test_other.py").write_text(
        "import sys\ndef test_other():\n"
        "    loaded = {name.split('.')[0] for name in sys.modules}\n"
        "    assert 'testbed' in loaded and not loaded & {'numpy', 'docker', 'pydantic', 'rich', 'yaml', 'invoke'}\n"
        "    assert {name for name in sys.modules if name.startswith('testbed.')} == "
        "{'testbed.plugin', 'testbed.plugin.pytest_plugin'}\n"
    )
    done = installed("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_other.py", cwd=repository)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_tasks_options_and_scenarios(shell: str, installed: Installed, repository: Path) -> None:
    script = installed("bothends", "--print-completion-script", shell, cwd=repository)
    assert "bothends" in script.stdout
    installed("bothends", "new", "mine", cwd=repository)
    offered = installed("bothends", "--complete", "--", "bothends run ", cwd=repository).stdout.split()
    assert {"mine", "connect-send-close"} <= set(offered)
    assert "--engine" in installed("bothends", "--complete", "--", "bothends run -", cwd=repository).stdout.split()
