"""Training: passes over the examples, epochs of them, where they stand, and what is told of them."""
