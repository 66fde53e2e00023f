"""Detection: any number of objects per image, each with its box and class."""
