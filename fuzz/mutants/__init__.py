"""Planted faults, and the score of finding them."""
