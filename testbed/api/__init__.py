"""The public Python API (docs/api.md), and the processes that make runs for it. `import testbed` exports its names."""
