"""Data sets by name: those of the registry in use, loaded once a process."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fal_bench.data.folders import Folders, current_folders
from fal_bench.errors import PluginError
from fal_bench.inputs.selector import Selector
from fal_bench.plugins.functions import DatasetTraits, arguments, traits_of
from fal_bench.plugins.own_code import digest_of
from fal_bench.plugins.registry import current_registry

if TYPE_CHECKING:
    from fal_bench.data.base import Dataset


def load_dataset(selector_text: str) -> Dataset:
    """Load a data set, once a process; treat its tensors as read-only, for all share them.

    Args:
        selector_text: a name with parameters if need be: ``"digits"``,
            ``"digit-pairs[train=2000]"``.

    Raises:
        UnknownNameError: no data set has that name.
        InvalidSpecError: the selector or a parameter cannot be used.
        PluginError: the data set's code cannot be imported, or returns something else than a
            ``Dataset``.
    """
    selector = Selector.parse(selector_text)
    function = current_registry().datasets.load(selector.name)
    return _load(str(selector), function, current_folders(), dataset_digest(str(selector)))


def dataset_digest(selector_text: str) -> str:
    """Return what identifies a data set's content besides its selector; often nothing.

    Args:
        selector_text: as for ``load_dataset``.

    Returns:
        For a built-in data set the digest of the data if they are the user's own, and an empty
        text for published ones. For others a digest of the code, and of the data if the data set
        has one.

    Raises:
        FalbenchError: as ``load_dataset``.
    """
    selector = Selector.parse(selector_text)
    datasets = current_registry().datasets
    function = datasets.load(selector.name)
    given, traits = arguments(function, selector.params), traits_of(function)
    digest = traits.digest if isinstance(traits, DatasetTraits) else None
    code, content = datasets.fingerprint(selector.name), digest and digest(**given)
    return digest_of(f"{code} {content}".encode()) if code else content or ""


# A suite has few data sets, and the large ones would fill the memory. The function, the folders and
# the digest are there so that other data under the same name are loaded in their place.
@lru_cache(maxsize=8)
def _load(
    canonical: str,
    function: Callable[..., Any],
    folders: Folders,  # noqa: ARG001
    digest: str,  # noqa: ARG001
) -> Dataset:
    from fal_bench.data.base import Dataset

    selector = Selector.parse(canonical)
    dataset = function(**arguments(function, selector.params))
    if not isinstance(dataset, Dataset):
        raise PluginError(
            f"Data set {selector.name!r} returned {type(dataset).__name__}; its function must "
            "return a fal_bench Dataset."
        )
    return dataset
