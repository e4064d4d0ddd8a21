"""Files that are written whole or not at all."""

import contextlib
import os
import shutil
import threading


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that a failure leaves what stood there before.

    A symbolic link is followed. A pipe or a device, which has nothing to lose, is written as it is.

    Raises
    ------
    OSError
        If the file cannot be written; its `filename` is the path given.
    """
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        with open(target, "wb") as stream:
            stream.write(content)
        return
    partial = f"{target}.{os.getpid()}.{threading.get_ident()}.part"
    try:
        with open(partial, "wb") as stream:
            stream.write(content)
        if os.path.exists(target):
            shutil.copymode(target, partial)
        os.replace(partial, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        if isinstance(error, OSError):
            error.filename, error.filename2 = os.fspath(path), None
        raise
