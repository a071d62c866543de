"""``python -m testbed.reference`` writes ``docs/scenarios.md``."""

from testbed.reference.reference_page import PAGE, text

if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
