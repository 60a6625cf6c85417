"""Which device was that? Learned from admitted connections, asked about those that failed without saying who they are.

Read in the order in which an event passes through:

    naming           each event on the log's thread: named, and what it teaches handed on
    stated           what an event says itself: CONNECT, certificate, the load balancer's word
    evidence         what a failure shows without that, and what an admission teaches: values
    places           addresses and the networks in which they change
    gathering, view  which devices come into question: the questions to the directory
    resolve          pure: evidence and devices to a name, to candidates, or to nobody
    likelihood, statistics    one factor for each thing that tells devices apart, from what the fleet does as a rule
    calibration      whether scores come true: each admission is an exam
    recent           what was answered within the last second
    words            the reasons, for a person
    confirmations    failures that a later admission explains
    directory        lessons from any thread; one thread writes them down
    learner, counters, store    the tables, what stands in them, and their file
    inventory        what an operator imports
    rebuild          all of it anew from the log
    overview         who is ok, failing, unclear or silent
"""
