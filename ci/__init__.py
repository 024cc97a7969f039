"""Runs the suite for people: command line, jobs, kernels, gate, reports."""
