"""Reports for CI systems: JUnit XML, TAP, Markdown."""
