"""The machine: processors, threads, and whether this installation suits it."""
