"""The machine: its processors and threads, and whether this installation suits it."""
