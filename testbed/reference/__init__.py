"""``docs/scenarios.md``: the reference of the scenario language, made from the models themselves."""
