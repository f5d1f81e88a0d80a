"""The shared harness: runs, FedAvg and the ledger."""
