"""Small exhaustive sets of programs, as data: each has an id that never changes its meaning."""
