"""Is it stable, is it new, can it be smaller: what happens to a bad verdict."""
