"""Tasks: requirements, loss, evidence, scores and test cases; one package each."""
