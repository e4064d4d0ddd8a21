"""Settings and fixtures that tests share."""

import pytest
from hypothesis import HealthCheck, settings

# A busy machine makes single examples slow now and then, which is no failure. Nothing is left in the tree.
settings.register_profile(
    "cbp",
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    database=None,
)
settings.load_profile("cbp")


@pytest.fixture
def csv_file(tmp_path):
    """Return a function that writes a .csv file of some text and returns its path."""
    pytest.importorskip("pandas")

    def write(text, encoding="utf-8"):
        path = tmp_path / "data.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write
