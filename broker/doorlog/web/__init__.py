"""The page: what the log says, for people who would rather look than read. It reads files, and never meets the door.

Read in the order of a request:

    server       the application: routes, and what stands before all of them
    guard        who may ask, and what a browser may do with the answer
    query        what stands in a URL, to filters and back
    rows         a record to what a row shows
    pages        one function for each page
    live         what comes to the log, to everybody who watches
    turns        long questions, one at a time
    numbers      the log in numbers, for the overview and the page of a device
    chart        bars over time, as SVG
    story        how far an attempt came
    keeper       keeps the index of closed segments, so that long spans answer at once
"""
