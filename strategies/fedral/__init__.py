"""FedRAL: per-client reinforced active learning (Lazaridis et al.)."""

from fal_bench.strategies.fedral.strategy import FedRAL

__all__ = ["FedRAL"]
