"""Writing files completely or not at all."""

import contextlib
import os
import shutil

Buffer = bytes | memoryview

NAME_KEPT = 24  # characters of a file's name with which its temporary file's begins: at most 96 bytes


def write_whole(path: str | os.PathLike[str], content: Buffer, *, durable: bool = False) -> None:
    """Write a file. If that fails, a file that was there before stays as it was.

    With `durable`, the content is on the disk before it takes the place of another, and its name before this
    returns. A symbolic link is followed. A pipe or a device has no contents to lose, and is written directly.

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
            _replace(target, content, durable)
    except OSError as error:
        name_path(error, path)
        raise


def name_path(error: OSError, path: str | os.PathLike[str]) -> None:
    """Let a system error name the path that the user gave, not the temporary file's."""
    if error.errno is not None:  # else it has a message of its own, which a file name would hide
        error.filename = os.fspath(path)
        del error.filename2  # where it is None, `str` shows "-> None"


def _replace(target: str, content: Buffer, durable: bool) -> None:
    """Write a file of another name in the same folder, and give it the name of the target."""
    folder, name = os.path.split(target)
    # A name as long as the file system allows leaves no room for more.
    partial = os.path.join(folder, f"{name[:NAME_KEPT]}.{os.urandom(8).hex()}.part")
    try:
        with open(partial, "xb") as stream:
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        if os.path.exists(target):
            shutil.copymode(target, partial)
        os.replace(partial, target)
        if durable and os.name == "posix":  # elsewhere a folder cannot be opened
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
