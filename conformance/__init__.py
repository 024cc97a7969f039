"""What is right: ABI, program language, model, oracle, targets. Imports nothing of fuzz or ci."""
