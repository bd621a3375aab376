"""Kills, power cuts, and the ledger that is drawn up after them."""
