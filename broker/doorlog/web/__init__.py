"""The page: what the log says, for people who would rather look than read. It reads files, and never meets the door.

Read in the order of a request:

    server       the application: routes, and what stands before all of them
    guard        who may ask, and what a browser may do with the answer
    query        what stands in a URL, to filters and back
    rows         a record to what a row shows
    pages        one function for each page
    live         what comes to the log, to everybody who watches
    overview     the log in numbers: what happened over time, beside the summary
    chart        bars over time, as SVG
    keeper       keeps the index of closed segments, so that long spans answer at once
"""
