"""The campaign: budget, workers, loop, statistics."""
