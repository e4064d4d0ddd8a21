"""Training: passes over the examples, epochs, their state, and how they are reported."""
