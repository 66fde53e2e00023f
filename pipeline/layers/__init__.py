"""The torch modules that the network language needs and torch lacks; plans name them, the builder creates them."""
