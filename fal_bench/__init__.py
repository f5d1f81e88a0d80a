"""falbench: how many labels does a federated active learning strategy need?"""

from fal_bench._version import __version__

__all__ = ["__version__"]
