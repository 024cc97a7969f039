"""Renders results for people and machines."""
