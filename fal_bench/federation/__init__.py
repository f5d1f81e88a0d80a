"""The shared harness: cells, FedAvg and the ledger."""
