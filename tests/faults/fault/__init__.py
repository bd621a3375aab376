"""What the tests of faults share: fixtures, a scripted opponent, the scene around the agent, the table."""
