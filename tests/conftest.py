"""Settings that all tests share."""

from hypothesis import HealthCheck, settings

# A busy machine makes single examples slow now and then, which is no failure. Nothing is left in the tree.
settings.register_profile(
    "cbp",
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    database=None,
)
settings.load_profile("cbp")
