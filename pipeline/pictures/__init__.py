"""Pictures that a person looks at, drawn with matplotlib."""
