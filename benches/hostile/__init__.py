"""Texts made to be slow to scan, and how much slower than prose they are."""
