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

And the commands that look for something:

    search       the lines that hold a text, without parsing the others
    filters      which records are wanted
    tail         the last of them, from the end of the log on
    show         all records of one connection
    near         the same, near where they are thought to be
    story        what happened to it, in words
    history      what happened to one device

And those that count, with DuckDB:

    columns      which field of a record each column of the view ``records`` is
    spans        which files can hold records of a span of time
    held         the files of a log, held open whatever becomes of their names
    views        the views ``records`` and ``lines`` over them
    questions    who waits for an answer hears signals
    table        what is asked of the views
    log_index    what is kept of each closed segment
    summary      what happened in a span of time
"""
