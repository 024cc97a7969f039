"""Findings, and how they are kept and written out."""
