"""A first look: a real broker, a small fleet on real sockets with real TLS, and a certificate that is rotated.

In reading order: ``cast`` (who there is, and what goes wrong with each), ``broker`` (the
process that they come to), ``knock`` (one attempt of one device), ``play`` (all of it together, beside what the log
holds afterwards).
"""
