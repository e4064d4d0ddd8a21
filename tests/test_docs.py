"""That the examples of the pages in docs/ run, and their pictures and links are there."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="for a checkout, which has the pages")
PAGES = sorted(DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run(page, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M):
        exec(block, names)
    if page.stem == "stopping":
        assert len(names["net"].history) == 30
    if page.stem == "losses":
        assert names["history"].losses[-1] < 0.01


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pictures_and_links(page):
    for link in re.findall(r"\]\(([^)]*)\)", page.read_text(encoding="utf-8")):
        assert link.startswith("http") or (DOCS / link.partition("#")[0]).exists()
