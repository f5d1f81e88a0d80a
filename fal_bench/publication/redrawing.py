"""Drawing published results anew: today's board and page of the curves of then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fal_bench._version import __version__
from fal_bench.errors import PublicationError
from fal_bench.publication.charges import charges_of_buyers, read_published_charges
from fal_bench.publication.curves import read_published_curves
from fal_bench.publication.evidence import evidence_of
from fal_bench.publication.folder import CHARGES, CURVES, check_target, file_states, has_charges
from fal_bench.publication.publishing import now, write_published
from fal_bench.publication.record import FORMAT, Record, read_record
from fal_bench.report.answer import answer
from fal_bench.report.targets import Question


def redraw(
    published: str | Path,
    to: str | Path,
    *,
    target_acc: float | str | Sequence[float | str] | None = None,
    accounting: str | None = None,
    baseline: str | None = None,
) -> Record:
    """Publish results that were published before again, as this falbench reports them.

    Curves and charges stay as they are; nothing is computed.

    Args:
        published: the folder that ``publish`` wrote.
        to: the folder to write, new, empty, or with results published before; may be the same.
        target_acc: the target accuracies; by default those that were published.
        accounting: the labels that rank; by default as published.
        baseline: the strategy that savings refer to; by default as published.

    Returns:
        What ``provenance.json`` says.

    Raises:
        PublicationError: a file was changed, the results were published without charges that do
            not follow from the curves, or ``to`` holds other files.
        FalbenchError: a name or value cannot be used.
    """
    source, target = Path(published), Path(to)
    check_target(target)
    record = read_record(source)
    for file in file_states(source, record):
        if file.state != "same":
            raise PublicationError(
                f"{file.name} in {str(source)!r} is not the one that was published; restore it."
            )
    curves = read_published_curves(source / CURVES)
    if has_charges(record):
        charges = read_published_charges(source / CHARGES)
    elif (derived := charges_of_buyers(curves)) is not None:
        charges = derived
    else:
        raise PublicationError(
            f"The results in {str(source)!r} were published without {CHARGES}, which the page "
            "needs; compute and publish them again."
        )
    question = Question.make(
        record.targets if target_acc is None else target_acc,
        accounting or record.accounting,
        baseline or record.baseline,
        [row.label for row in record.strategies],
    )
    runs = record.command.removesuffix(f" {record.question.options()}")
    evidence = evidence_of(record, curves, charges)
    draft = record.model_copy(
        update={
            "format": FORMAT,
            "falbench": __version__,
            "command": f"{runs} {question.options()}",
            "published": now(),
            "targets": question.targets,
            "accounting": question.accounting,
            "baseline": question.baseline,
        }
    )
    return write_published(answer(question, replace(evidence, command=runs)), draft, target)
