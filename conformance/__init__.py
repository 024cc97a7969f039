"""What is right: the ABI, the program language, the model, the oracle, the targets. Imports nothing of fuzz or ci."""
