"""Scenario files: from YAML to frozen values, with messages that point at what is wrong.

``load.load`` reads one, ``catalogue.find`` finds one by name. What a lab needs of it is compiled: steps by
``steps.actor_script``, the link by ``link.link_plan``, expectations by ``Scenario.expectations``.
"""
