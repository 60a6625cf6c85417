"""amqtt's broker behind the door: it serves connections that the door has authenticated, and nobody else.

Read in this order:

    connection      what the door hands over
    limits          what one client, and all of them together, may hold in memory
    session         amqtt's Session without its state machine, built from an admitted connection
    ownership       a client id belongs to the user that holds it
    topics          topic names and filters (MQTT 3.1.1, 4.7)
    packets         the bodies of the packets that a client sends, and the packets that we send
    subscriptions   who gets a message
    retained        the last message of each topic, for subscriptions to come
    log_topics      the topics that belong to the log, and who may read there
    permissions     what the topic plugins allow
    hooks           the events of amqtt's plugins
    sender          what goes to one client: flow control, acknowledgements, redelivery
    handler         one connection: packets in, answers out
    exchange        amqtt's Broker: messages, subscriptions, permissions
    broker          amqtt's Broker: connections, sessions, start and stop
    log_publisher   the log's way to its readers, from any thread
    adapters        the same connections for a stock amqtt broker
    session_attributes, credentials, plugin_options, authority, stock    how the door asks it to judge and serve
"""
