"""In which order a run's events happened, where their time stamps do not say. Pure."""
