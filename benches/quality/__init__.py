"""Runs every evaluation through the real code and writes docs/quality.md."""
