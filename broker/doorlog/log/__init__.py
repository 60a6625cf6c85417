"""One JSON line for each event, from a writer thread to the sinks.

Read in the order in which an event passes through:

    writer        Log: takes events on the event loop; its thread hands them to the scribe
    backlog       the queue in between: bounded, what does not fit is counted
    scribe        what the thread does: events to lines, lines to the file and the sinks, and all that is due
    pipeline      an event through the processors to a chained line, numbered; no event is lost on the way
    processors    the small callables: sentence, record, rendering
    chain         each line holds the hash of the line before; checkpoints are signed
    signing       when there is a checkpoint, and its key
    audit         the log's own events, and the numbers of its promise
    log_file      the file: recovered, rotated, told when another program cut it
    live_file, recovery, journal, archive, segments    its parts: open and lock, where it stopped, write and sync,
                  closed segments, their names and order
    commits       who must not answer before a record is on disk waits here
    sink          what a sink is
    stdout_sink, console    where lines go beside the file
    mqtt_sink     the same as messages of our own broker
    courier       a thread of its own for a sink that may block or fail; what waits for it, and is brought again
    syslog_sink, syslog_message, syslog_excerpt, syslog_link, syslog_stream    to a syslog receiver
    descriptor    whole lines to a file descriptor
    faults        what went wrong, counted, and said once
    status        how the log does, in numbers
    schema        what a record looks like, as JSON Schema
    opening       open_log: all of it from its settings

Nothing is imported here: whoever reads a log needs few of these, and should not wait for the others.
"""
