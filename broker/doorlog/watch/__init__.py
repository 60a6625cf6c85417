"""What is watched while the broker runs, before repeats are folded; modules in reading order.

``tally`` counts every event, ``cohorts`` says which groups of devices an attempt belongs to, ``witnesses`` which
devices failed of late. ``alert_rules`` say what is wrong, ``alerts`` when it is told, ``alert_message`` how;
``webhook`` brings it, with ``webhook_post``.
"""
