"""What marketfeed costs, beside the least it could cost: `python -m benchmarks`."""
