"""Queries and rows in loops: what each turn reads or writes, and whether one statement can serve all."""
