"""A fleet that is simulated in front of the real door: what truly connected is known, so naming can be measured.

Values, in reading order: ``models`` (what devices are), ``profiles`` (their TLS clients), ``network`` (which address
they have), ``scenarios`` (which fleets there are), ``fleet`` (who there is), ``plan`` (how much time passes),
``steps``, ``strangers`` and ``calendar`` (who does what when), ``scoring`` (how well it was recognised), ``truth``
(what truly happened), ``packets`` (what a device says). Shell: ``pki`` (certificate files), ``client`` (a device's
socket), ``host`` (the door that they come to), ``namer`` (who names them), ``recorder`` (simulated time for what the
door says), ``stage`` (plays the steps), ``play`` (all of it together).
"""
