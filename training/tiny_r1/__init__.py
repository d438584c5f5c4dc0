"""Tiny R1: the recipe of a small model that reasons about arithmetic before it answers."""
