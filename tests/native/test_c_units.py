"""The C programs' pure parts: unit tests in C under sanitizers, and each parser of bytes fed by a fuzzer for a moment.

CI feeds each for a minute: ``make -C compose -j2 fuzz SECONDS=60``.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.nonempty import nonempty

from .building import COMPOSE, make

TESTS = sorted(path.relative_to(COMPOSE).with_suffix("").as_posix() for path in COMPOSE.glob("*/tests/test_*.c"))
FUZZERS = sorted(path.relative_to(COMPOSE).with_suffix("").as_posix() for path in COMPOSE.glob("*/tests/fuzz_*.c"))
FOLDERS = ("common", "columns", "agent", "actor", "probe", "link", "launch", "witness")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("units")


@pytest.fixture(scope="module")
def tests(out: Path) -> Path:
    make(out, *(f"{out}/units/{test}" for test in TESTS))
    return out


@pytest.fixture(scope="module")
def fuzzers(out: Path) -> Path:
    if shutil.which("clang") is None:
        pytest.skip("no clang on this machine")
    make(out, "fuzzers")
    return out


@pytest.mark.parametrize("test", TESTS)
def test_units(tests: Path, test: str) -> None:
    """No check fails, and no sanitizer has a word to say."""
    done = subprocess.run([tests / "units" / test], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" tests, 0 failures\n")


@pytest.mark.parametrize("fuzzer", FUZZERS)
def test_parsers_take_any_bytes(fuzzers: Path, fuzzer: str, tmp_path: Path) -> None:
    """All seeds and some thousand inputs made of them: no crash, no leak, nothing undefined."""
    seeds = COMPOSE / fuzzer.replace("/fuzz_", "/corpus/")
    assert any(seeds.iterdir())
    words = [
        str(fuzzers / "units" / fuzzer),
        "-runs=5000",
        "-seed=1",
        f"-artifact_prefix={tmp_path}/",
        str(tmp_path),
        str(seeds),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_code_stands_in_headers(folder: str) -> None:
    """Functions of one line at most; what holds more is a module."""
    headers = nonempty(sorted((COMPOSE / folder).rglob("*.h")))
    assert [place for header in headers for place in code_in(header)] == []


def code_in(header: Path) -> list[str]:
    """Return where functions begin that are not one line and ``static inline``."""
    lines = header.read_text(encoding="utf-8").splitlines()
    begun = [number for number, line in enumerate(lines) if line == "{"]
    return [
        f"{header}:{number}"
        for number in begun
        if not (lines[number - 1].startswith("static inline ") and lines[number + 2] == "}")
    ]


def test_code_in_a_header_is_found(tmp_path: Path) -> None:
    header = tmp_path / "a.h"
    header.write_text("static inline int one(void)\n{\n\treturn 1;\n}\nint two(void)\n{\n\treturn 2;\n}\n")
    assert code_in(header) == [f"{header}:5"]


def test_headers_include_each_other_in_no_circle() -> None:
    """Each can be read to its end before the one that includes it."""
    headers = {path.relative_to(COMPOSE).as_posix(): path for path in COMPOSE.glob("*/*.h")}
    includes = {
        name: [
            line.split('"')[1]
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.startswith('#include "')
        ]
        for name, path in headers.items()
    }
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above, name))
        if name not in done:
            for included in includes[name]:
                visit(included, (*above, name))
            done.add(name)

    for name in includes:
        visit(name, ())
    assert done == set(headers)
