"""Measures speed: each figure beside what is required of it, ratios within one run."""
