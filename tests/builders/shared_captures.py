"""Real captures of many tools (BOTHENDS_CAPTURES, by default ../shared/captures beside the project)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.capture.read_file import load
from testbed.pairing.compare_captures import Comparison, compare
from testbed.run.read_captures import read_one

CORPUS = Path(os.environ.get("BOTHENDS_CAPTURES", Path(__file__).parents[2].parent / "shared" / "captures"))
MANIFEST = CORPUS / "MANIFEST.tsv"

needs_corpus = pytest.mark.skipif(not MANIFEST.exists(), reason=f"no captures at {CORPUS}: set BOTHENDS_CAPTURES")


def compare_files(one: str, two: str) -> Comparison:
    """Compare two files of the collection."""
    return compare(*read_one(load(CORPUS / one)), *read_one(load(CORPUS / two)))
