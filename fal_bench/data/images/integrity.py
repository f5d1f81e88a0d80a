"""Whether the files of a folder are still those that were written.

Reading large files for a checksum at every load would take longer than the load. So a checksum is
computed where a file's facts have changed (size, times, inode), and the facts of files whose
checksum was right are kept beside them.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_CHECKSUMS: Final = "checksums.json"
_SEEN: Final = "seen.json"
"""Facts of the files when their checksums were last right."""


def seal(folder: Path) -> None:
    """Write the checksums of all files of a folder into it."""
    files = [path for path in folder.iterdir() if path.is_file()]
    sums = {path.name: _checksum(path) for path in files}
    (folder / _CHECKSUMS).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
    _note(folder, _facts(folder, sums))


def is_intact(folder: Path) -> bool:
    """Whether all files of a sealed folder are there, and as they were.

    Raises:
        OSError: a file is missing or cannot be read.
        ValueError: what is known of the checksums cannot be read.
    """
    sums = json.loads((folder / _CHECKSUMS).read_text(encoding="utf-8"))
    if not (isinstance(sums, dict) and sums):
        return False
    facts, seen = _facts(folder, sums), _seen(folder)
    changed = [name for name in sums if facts[name] != seen.get(name)]
    if any(_checksum(folder / name) != sums[name] for name in changed):
        return False
    if changed:
        with suppress(OSError):  # a folder that may not be written: looked at again next time
            _note(folder, facts)
    return True


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _facts(folder: Path, names: dict[str, str]) -> dict[str, Any]:
    facts = {}
    for name in names:
        found = (folder / name).stat()
        facts[name] = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
    return facts


def _seen(folder: Path) -> dict[str, Any]:
    try:
        seen = json.loads((folder / _SEEN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return seen if isinstance(seen, dict) else {}


def _note(folder: Path, facts: dict[str, Any]) -> None:
    scratch = folder / f".{_SEEN}.{os.getpid()}"
    scratch.write_text(json.dumps(facts) + "\n", encoding="utf-8")
    scratch.replace(folder / _SEEN)
