"""What developers run beside the package: not installed, not imported by it."""
