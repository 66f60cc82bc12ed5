"""Those who are served: a crowd that holds streams, and askers of views. Each is a process of its
own.

`wire` reads bytes and is pure; `crowd` and `askers` are programs, started by `remote` and told what
to do in lines of JSON. They are written for a low cost of their own: what is not needed for a
figure or a proof is not parsed.
"""
