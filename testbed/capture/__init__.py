"""Capture files as columns: ``read_file.read(path)`` gives a ``columns.Capture``, one array for each header field."""
