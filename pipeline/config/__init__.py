"""The declaration: what a config may name, and how two configs are told apart."""
