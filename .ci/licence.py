"""Adds to the metadata of repaired wheels the licence of the OpenMP runtime that they carry.

python .ci/licence.py FOLDER_OR_WHEEL...

pyproject.toml names the licences of what is built. The library that a repair adds has a licence of its own,
whose text is in licenses/. auditwheel names that licence in the SBOM, but not in the metadata, which package
indexes show.
"""

import base64
import csv
import hashlib
import io
import re
import sys
import zipfile
from pathlib import Path

# The licences by the names of the libraries; a repair appends a hash to these names.
CARRIED = {
    "libgomp": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libi?omp": "Apache-2.0 WITH LLVM-exception",
}

LIBRARIES = r"cython_backprop\.libs/|cbp/\.dylibs/"  # where repairs put them


def carried(files: list[str]) -> list[str]:
    """Return the licences of the libraries among the files of a wheel, as SPDX expressions."""
    names = [Path(file).name for file in files if re.match(LIBRARIES, file)]
    return [
        licence
        for pattern, licence in CARRIED.items()
        if any(re.match(rf"{pattern}\d*[-.]", name) for name in names)
    ]


def completed(metadata: str, files: list[str]) -> str:
    """Return the metadata with the licences of the libraries added to the licence expression."""
    found = re.search(r"^License-Expression: (.+?)\r?$", metadata, re.M)
    if found is None:
        raise SystemExit("the metadata have no License-Expression")
    missing = [licence for licence in carried(files) if licence not in found[1]]
    return metadata[: found.end(1)] + "".join(f" AND {m}" for m in missing) + metadata[found.end(1) :]


def digest(content: bytes) -> str:
    """Return the hash of a file in the form of RECORD."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def record_with(record: str, path: str, content: bytes) -> str:
    """Return RECORD with a new line for one file."""
    rows = [
        [path, digest(content), str(len(content))] if row[0] == path else row
        for row in csv.reader(record.splitlines())
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def complete(wheel: Path) -> None:
    """Complete a wheel's licence expression, in place."""
    with zipfile.ZipFile(wheel) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    names = [info.filename for info, _ in entries]
    (metadata,) = (name for name in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
    changed = completed(entries[names.index(metadata)][1].decode(), names).encode()
    written = wheel.with_suffix(".tmp")
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in entries:
            if info.filename == metadata:
                content = changed
            elif info.filename == metadata.replace("METADATA", "RECORD"):
                content = record_with(content.decode(), metadata, changed).encode()
            archive.writestr(info, content)
    written.replace(wheel)


def main() -> None:
    """Complete the wheels that the command line names, and those in the folders that it names."""
    for given in map(Path, sys.argv[1:]):
        for wheel in sorted(given.glob("*.whl")) if given.is_dir() else [given]:
            complete(wheel)


if __name__ == "__main__":
    main()
