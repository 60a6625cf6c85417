"""A fleet that is simulated in front of the real door: what truly connected is known, so naming can be measured.

Values, in reading order: ``profiles`` (TLS clients), ``models`` (what devices are), ``network`` (which address they
have), ``fleet`` (who there is), ``scenarios`` (which fleets there are), ``steps`` and ``calendar`` (who does what when),
``scoring`` (how well it was recognised). Shell: ``pki`` (files), ``client`` (a device's socket), ``clock`` (simulated
time), ``host`` (the door that they come to), ``namer`` (who names them), ``stage`` (plays a calendar), ``truth``.
"""
