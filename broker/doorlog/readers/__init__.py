"""What reads the log back, without knowing the door that wrote it.

Read in the order in which ``doorlog verify`` works:

    verify       the walk over all lines to a Report
    lines        chunks of bytes to blocks of whole lines
    record       what a line says of its place in the log, without parsing all of it
    breaks       which of changed, inserted, removed, reordered or torn it is where two lines do not fit
    gaps         what an audit_gap record accounts for
    counts       accepted connections = records, for each start of a broker
    vouching     signatures, and checkpoints that were kept elsewhere
    report       what was found, as values and as sentences
    files        the files of a log, opened
    trusted      public keys and kept checkpoints, read from files
"""
