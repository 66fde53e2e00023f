"""Tasks: what each demands, its loss, evidence, scores and cases; one folder each."""
