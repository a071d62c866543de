"""The language of scenario files: YAML with positions, small types, and messages that point at what is wrong."""
