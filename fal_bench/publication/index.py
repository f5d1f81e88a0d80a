"""The page over all results published in the folders of one folder."""

from __future__ import annotations

from pathlib import Path

from fal_bench.errors import PublicationError
from fal_bench.inputs.arguments import as_path
from fal_bench.publication.publishing import question_of
from fal_bench.reporting.answer import Comparison, answer
from fal_bench.reporting.overview import render_overview
from fal_bench.results.files import write_atomically
from fal_bench.results.published import refuse_changed, results_of
from fal_bench.results.record import is_published, read_record

INDEX = "index.html"


def publish_index(folder: str | Path) -> Path:
    """Write ``index.html``: who wins in each of the published comparisons; runs nothing.

    Args:
        folder: the folder in whose folders results are published.

    Returns:
        The file that was written.

    Raises:
        PublicationError: no folder in it holds published results, one was changed, or the file
            cannot be written.
        FalbenchError: published results cannot be read.
    """
    root = as_path("folder", folder)
    found = sorted(path for path in root.iterdir() if is_published(path)) if root.is_dir() else []
    if not found:
        raise PublicationError(
            f"No folder in {str(root)!r} holds published results; publish some with falbench "
            f"publish RESULTS --to {root / 'NAME'}, or name the folder that they are in."
        )
    page = render_overview({path.name: _comparison(path) for path in found}).encode()
    target = root / INDEX
    try:
        write_atomically(target, lambda file: file.write(page))
    except OSError as error:
        raise PublicationError(
            f"Cannot write {str(target)!r} ({error.strerror or error}); make the folder writable."
        ) from error
    return target


def _comparison(folder: Path) -> Comparison:
    """Return what was asked of published curves, answered again."""
    record = read_record(folder)
    refuse_changed(folder, record)
    return answer(question_of(record), results_of(record, folder))
