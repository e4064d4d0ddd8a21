"""Settings that all tests share."""

from hypothesis import settings

# A busy machine makes single examples slow now and then, which is no failure. Nothing is left in the tree.
settings.register_profile("cbp", deadline=None, database=None)
settings.load_profile("cbp")
