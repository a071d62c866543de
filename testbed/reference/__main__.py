"""``python -m testbed.reference`` writes ``docs/scenarios.md`` and ``docs/catalogue.md``."""

from testbed.reference.catalogue_page import CATALOGUE_PAGE, catalogue_text
from testbed.reference.reference_page import PAGE, text

if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
    CATALOGUE_PAGE.write_text(catalogue_text(), encoding="utf-8")
