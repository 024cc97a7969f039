"""Judges an outcome against a prediction."""
