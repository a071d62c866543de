"""Which kernels an expectation is for: how that is written, and which versions are meant."""

import pytest
from pydantic import TypeAdapter

from testbed.model.kernel_versions import KernelRange, kernel_version
from testbed.scenario.language.kernel_ranges import KernelRangeText

READ: TypeAdapter[KernelRange] = TypeAdapter(KernelRangeText)


def holds(text: str, release: str) -> bool:
    version = kernel_version(release)
    assert version is not None
    return READ.validate_python(text).holds(version)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("6.12", ["6.12", "6.12.41", "6.12.41+deb13-amd64"], ["6.1", "6.1.2", "6.13", "5.12"]),
        ("<6.5", ["6.4.99", "5.10", "6.4"], ["6.5", "6.5.13", "6.10"]),
        ("<=6.5", ["6.5.13", "6.5", "6.4"], ["6.6"]),
        (">6.5", ["6.6", "6.10.1", "7.2"], ["6.5.13", "6.5"]),
        (">= 6.1.5", ["6.1.5", "6.1.6", "6.2"], ["6.1.4", "6.0"]),
        ("6.1-6.12", ["6.1", "6.9.3", "6.12.99"], ["6.0", "6.13"]),
        (">=6.1 <6.5", ["6.1", "6.4.2"], ["6.0", "6.5"]),
    ],
)
def test_versions_are_numbers_compared_as_far_as_they_are_written(
    text: str, inside: list[str], outside: list[str]
) -> None:
    assert [holds(text, release) for release in inside] == [True] * len(inside)
    assert [holds(text, release) for release in outside] == [False] * len(outside)


def test_a_release_without_numbers_is_no_version() -> None:
    assert [kernel_version(release) for release in ("", "unknown", "6")] == [None, None, None]
    assert kernel_version("6.18.5-rc1") == (6, 18, 5)


def test_what_is_written_stays_as_it_is() -> None:
    assert READ.dump_python(READ.validate_python(">=6.1 <6.5")) == ">=6.1 <6.5"
