"""The program language: one frozen value that is generated, written, run, judged and shrunk."""
