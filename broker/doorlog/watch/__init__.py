"""What is watched while the broker runs, before repeats are folded.

``tally`` counts every event, ``cohorts`` says which groups of devices an attempt belongs to.
"""
