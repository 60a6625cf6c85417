"""doorlog: an MQTT broker whose front door records every connection attempt.

Read in the order in which a connection passes through:

    door            socket, PROXY header, TLS with evidence, CONNECT, credentials
    events          the typed facts that become records
    identity        which device was that?
    watch           what is counted of the events, for metrics and alerts
    log             one JSON line for each event, from a writer thread, to the sinks
    embedded        the amqtt broker behind the door
    readers         what reads a log: whether it is whole, and what it holds of a device
    simulation      a fleet in front of the door, and who it truly was
    certificates    what is served, what was presented, and the development certificates
    settings        the configuration file as frozen models
"""

__version__ = "0.1.0"
