"""The demo: a simulated system, a list of scenarios, and a printer that shows each step."""
