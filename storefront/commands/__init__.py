"""The commands, by what they need.

    running       a process that stays: serve, worker, demo
    messages      a broker: publish, dead-letters
    looking       nothing but the settings: token, config
    environment   the settings, as every command reads them

A command says in one line what is wrong, and imports the heavy rooms only when it runs.
"""
