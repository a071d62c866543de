"""What comes with the program and is no Python of its own: images and C sources, the catalogue, compiled tools."""
