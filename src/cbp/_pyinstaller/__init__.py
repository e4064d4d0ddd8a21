"""Tells PyInstaller, which looks for the entry point `pyinstaller40`, where its hook for cbp lies."""

import os


def hook_dirs() -> list[str]:
    """Return the folders that hold hooks."""
    return [os.path.dirname(__file__)]
