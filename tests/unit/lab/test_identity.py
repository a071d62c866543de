"""Who owns what."""

from __future__ import annotations

import subprocess
import sys

from testbed.lab.identity import is_alive, new_run_id, owner


def test_this_process_is_alive() -> None:
    assert is_alive(owner()) is True


def test_a_process_that_ended_is_not() -> None:
    """Its label, taken while it lived, is dead afterwards."""
    program = "from testbed.lab.identity import owner; print(owner())"
    label = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert label.count("/") == 2
    assert is_alive(label) is False


def test_a_reused_process_number_is_not() -> None:
    """The same number with another start time is another process."""
    boot, pid, start = owner().split("/")
    assert is_alive(f"{boot}/{pid}/{int(start) + 1}") is False


def test_another_machine_cannot_be_seen() -> None:
    _, pid, start = owner().split("/")
    assert is_alive(f"another-boot/{pid}/{start}") is None


def test_nonsense_is_nobody() -> None:
    assert is_alive("") is False
    assert is_alive("a/b/c") is False


def test_run_ids_are_8_hex_digits_and_differ() -> None:
    ids = {new_run_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(one) == 8 and int(one, 16) >= 0 for one in ids)
