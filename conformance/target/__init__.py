"""Targets: what runs a program on a live kernel and says what it saw."""
