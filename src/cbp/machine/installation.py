"""The errors for an installation that lacks compiled modules or data: what is wrong, and what to do."""

import importlib.machinery
import os
import sys

# Whether a freezer has made the program. Nuitka defines __compiled__ in each module, others set sys.frozen.
FROZEN = getattr(sys, "frozen", False) or "__compiled__" in globals()

HERE = os.path.dirname(os.path.dirname(__file__))

INCOMPLETE = (
    f"the installation of cbp in {HERE} is not complete. Install it anew: "
    "pip install --force-reinstall --no-deps cython-backprop"
)


def check() -> None:
    """Check that the compiled modules are there.

    Raises
    ------
    ImportError
        If they are not, with the reason.
    """
    try:
        import cbp._core
        import cbp.kernels.cpu  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("cbp."):  # another package, such as NumPy
            raise
        raise ImportError(missing(error.name), name=error.name) from error


def missing(name: str) -> str:
    """Return why a compiled module may be missing, and what to do, in words."""
    if FROZEN:
        return (
            f"{name} is missing: the program was frozen without all of cbp. Have PyInstaller add it with "
            "--collect-all cbp, Nuitka with --include-package=cbp"
        )
    if archive := archive_of(HERE):
        return (
            f"cbp was imported from {archive}, and Python cannot load compiled modules out of an archive: "
            "install it with pip, or unpack it into a folder that is on sys.path"
        )
    if others := built_for_others(name):
        return (
            f"{name} is missing: cbp was installed for another Python ({others}; this one loads "
            f"{importlib.machinery.EXTENSION_SUFFIXES[0]}). Install it with the pip of this Python"
        )
    return f"{name} is missing: {INCOMPLETE}"


def archive_of(path: str) -> str | None:
    """Return the file, an archive, that a path treats as a folder; None if it leads through folders only."""
    while path and not os.path.exists(path):
        path = os.path.dirname(path)
    return path if os.path.isfile(path) else None


def built_for_others(name: str) -> str:
    """Return the names of a module's files that are built for another Python, as text."""
    *folders, last = name.split(".")[1:]
    try:
        files = os.listdir(os.path.join(HERE, *folders))
    except OSError:
        return ""
    return ", ".join(sorted(f for f in files if f.startswith(last + ".") and f.endswith((".so", ".pyd"))))


def missing_data(name: str) -> str:
    """Return why a file of data may be missing, and what to do, in words."""
    if FROZEN:
        return (
            f"{name} is missing: the program was frozen without cbp's data. Have PyInstaller add them with "
            "--collect-data cbp, Nuitka with --include-package-data=cbp"
        )
    return f"{name} is missing: {INCOMPLETE}"
