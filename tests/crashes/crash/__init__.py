"""Kills, power cuts, and the invariants that are checked afterwards."""
