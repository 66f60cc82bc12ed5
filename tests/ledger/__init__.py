"""The ledger, as far as it is pure: what was posted, what was seen, and what is wrong between the two.

    post    numbered messages, and the event that each must become, byte for byte
    judge   what was confirmed against what every reader saw

The processes, the faults and the readers are in tests/system/ledger.
"""
