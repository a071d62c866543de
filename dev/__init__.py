"""For developers of the project: tasks, benchmarks, pictures, checks of a restructuring. Not part of the package."""
