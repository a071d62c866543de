"""Scenario files: from YAML to frozen values, with messages that point at what is wrong.

``load.load(path)`` reads one, ``catalogue.find`` finds one by name, ``script.actor_script`` compiles its steps.
"""
