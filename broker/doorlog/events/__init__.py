"""What happened: the typed facts that become records. Imports nothing else of doorlog.

Read in this order: ``codes`` (the closed lists), ``parts`` (the nested objects of a record),
``records`` (one model for each kind of event), ``explanations`` (what each code means),
``sentences`` (the line that a person reads), made of ``templates`` (the words of each code),
``phrases`` and ``tls_phrases`` (one fact each) and ``words`` (how a text or a date is written).
"""
