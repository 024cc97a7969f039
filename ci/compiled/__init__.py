"""Native copies of the hot, pure modules, built by mypyc into a cache and never into the tree."""
