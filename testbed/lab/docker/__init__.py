"""Labs of containers on a Docker Engine, and the images that they are made of."""
