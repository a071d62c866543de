"""The table of docs/diagnose.md that lists every sentence: ``python -m dev.finding_sentences`` writes it.

Facts stand in it by their names, as *waited*; a run's sentence has the figures, frames and calls of its connection.
"""

from __future__ import annotations

import re
from pathlib import Path

from testbed.model.findings import FINDINGS
from testbed.report.text.finding_words import WORDS

PAGE = Path(__file__).parents[1] / "docs" / "diagnose.md"
TITLE = "## Every sentence\n"
_FACT = re.compile(r"\{(\w+)(?:\|\w+\|(\w+))?\}")


def plain(template: str) -> str:
    """Return a template as people read it: the names of facts, and words as for several of a thing."""
    told = _FACT.sub(lambda match: match[2] or ("" if match[1] == "how" else f"*{match[1]}*"), template)
    return told.replace("|", "\\|")


def section() -> str:
    """Return the section with its table."""
    made = [
        TITLE,
        "What a finding says, with the facts of a connection where a name stands *so*; and what to do about it.",
        "Made by `python -m dev.finding_sentences`.",
        "",
        "| finding | sentence | do |",
        "|---|---|---|",
    ]
    for name in FINDINGS:
        words = WORDS[name]
        for place, sentence in enumerate(words.sentences.values()):
            first = (f"`{name}`", plain(words.remedy)) if not place else ("", "")
            made.append(f"| {first[0]} | {plain(sentence)} | {first[1]} |")
    return "\n".join(made) + "\n"


def written(page: str) -> str:
    """Return the page with the section as it is now, at its end."""
    return page.partition(TITLE)[0].rstrip() + "\n\n" + section()


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
