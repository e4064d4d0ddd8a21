"""Whether a release is whole: python .ci/whole.py FOLDER, with its wheels and its sdist.

cibuildwheel ignores a Python that it does not know, so only this check finds one that is misspelt or left
out. wheels.py checks what a wheel contains.
"""

import argparse
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PLATFORMS = (
    r"manylinux\S*_x86_64",
    r"manylinux\S*_aarch64",
    r"musllinux\S*_x86_64",
    r"musllinux\S*_aarch64",
    r"macosx\S*_x86_64",
    r"macosx\S*_arm64",
    r"win_amd64",
    r"win_arm64",
)


def patterns(settings: Mapping[str, Any]) -> list[str]:
    """Return a pattern for the name of each file of a release, from the settings in pyproject.toml."""
    start = f"cython_backprop-{re.escape(settings['project']['version'])}"
    pythons = [build.removesuffix("-*") for build in settings["tool"]["cibuildwheel"]["build"]]
    tags = [f"{python.removesuffix('t')}-{python}" for python in pythons] + ["cp312-abi3"]
    wheels = [rf"{start}-{tag}-{platform}\.whl" for tag in tags for platform in PLATFORMS]
    return [rf"{start}\.tar\.gz", *wheels]


def faults(names: Iterable[str], settings: Mapping[str, Any]) -> list[str]:
    """Return in words which files are missing, are there more than once or belong to no release."""
    left, found = set(names), []
    for pattern in patterns(settings):
        matching = {name for name in left if re.fullmatch(pattern, name)}
        left -= matching
        if len(matching) != 1:
            found.append(f"{len(matching)} files are named {pattern}, expected 1")
    return found + [f"{name} belongs to no release" for name in sorted(left)]


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    settings = tomllib.loads(Path(__file__).parent.with_name("pyproject.toml").read_text(encoding="utf-8"))
    if found := faults((path.name for path in folder.iterdir()), settings):
        raise SystemExit("\n".join(found))
    print(f"all {len(patterns(settings))} files are there")


if __name__ == "__main__":
    main()
