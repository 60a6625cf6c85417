"""What reads the log that the sinks wrote. Never imports the door.

audit_trail    is the log whole? pure, over lines
verify         the same over the files of a log
"""
