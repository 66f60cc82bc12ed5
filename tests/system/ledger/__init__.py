"""The ledger test: numbered messages through every fault, and at the end every one of them accounted for.

    publisher   posts numbered messages, confirmed, without ever stopping
    readers     browsers that come, go and come back with their cursor; what they see is kept frame by frame
    floor       the processes of the service, and what they say of themselves
    faults      what is done to them meanwhile
    run         one whole run, and its outcome
    sabotage    a service that breaks a promise, to see that the judge notices

What is posted and how it is judged is in tests/ledger, which needs no server.
"""
