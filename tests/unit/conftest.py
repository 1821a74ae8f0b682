from hypothesis import settings

settings.register_profile("unit", deadline=None)  # The machine may be busy with something else.
settings.load_profile("unit")
