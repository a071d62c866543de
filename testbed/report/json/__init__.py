"""Reports for programs, as JSON with a schema."""
