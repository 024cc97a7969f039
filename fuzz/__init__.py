"""Finds what is wrong: generators, engine, guidance, shrinking, triage, findings, mutants."""
