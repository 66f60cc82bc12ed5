"""What a measurement is made of, without a socket: percentiles, processes, sequences, the machine.

Nothing is imported here: the programs of the harness take what they need, and start in a tenth of a
second.
"""
