"""Logged calls: what each does to its socket, which flow a socket is, which bytes a call moved. Pure."""
