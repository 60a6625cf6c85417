"""What is watched while the broker runs: ``tally`` counts every event, before repeats are folded."""
