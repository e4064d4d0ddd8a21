"""Writing files completely or not at all."""

import contextlib
import os
import shutil

NAME_KEPT = 24  # characters of a file's name with which its temporary file's begins: at most 96 bytes


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file. If that fails, a file that was there before stays as it was.

    A symbolic link is followed. A pipe or a device has no contents to lose, and is written directly.

    Raises
    ------
    OSError
        If the file cannot be written; its `filename` is the path given.
    """
    target = os.path.realpath(os.fsdecode(path))
    try:
        if os.path.exists(target) and not os.path.isfile(target):
            with open(target, "wb") as stream:
                stream.write(content)
        else:
            _replace(target, content)
    except OSError as error:
        name_path(error, path)
        raise


def name_path(error: OSError, path: str | os.PathLike[str]) -> None:
    """Let a system error name the path that the user gave, not the temporary file's."""
    if error.errno is not None:  # else it has a message of its own, which a file name would hide
        error.filename = os.fspath(path)
        del error.filename2  # where it is None, `str` shows "-> None"


def _replace(target: str, content: bytes) -> None:
    """Write a file of another name in the same folder, and give it the name of the target."""
    folder, name = os.path.split(target)
    # A name as long as the file system allows leaves no room for more.
    partial = os.path.join(folder, f"{name[:NAME_KEPT]}.{os.urandom(8).hex()}.part")
    try:
        with open(partial, "xb") as stream:
            stream.write(content)
        if os.path.exists(target):
            shutil.copymode(target, partial)
        os.replace(partial, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
