"""Certificates: what is presented, what is served, and those that a laptop needs.

    facts           what one certificate says about itself, read from hostile bytes
    chain           a self-check of the served chain, its key, the client authorities and revocation lists
    development     a certificate authority, server chain, demo device and demo user of one's own
"""
