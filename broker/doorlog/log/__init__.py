"""One JSON line for each event, from a writer thread to the sinks.

Read in the order in which an event passes through:

    writer        Log: takes events on the event loop, hands lines to the sinks from its own thread
    pipeline      an event through the processors to a line, numbered; no event is lost on the way
    processors    the small callables: sentence, record, rendering
    sink          what a sink is
    file_sink, stdout_sink, console    where lines go
    courier       a thread of its own for a sink that may block or fail; what waits for it, and is brought again
    syslog_sink, syslog_message, syslog_excerpt, syslog_link, syslog_stream    to a syslog receiver
    descriptor    whole lines to a file descriptor
    faults        what went wrong, counted, and said once
    schema        what a record looks like, as JSON Schema
    opening       open_log: all of it from simple arguments
"""

from doorlog.log.opening import open_log
from doorlog.log.writer import Log

__all__ = ["Log", "open_log"]
