"""Which device was that?"""
