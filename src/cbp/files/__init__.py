"""Saving networks to files, and loading them."""
