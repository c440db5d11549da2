"""The page: what is held, heard, forgotten and proved, for a browser on the same machine.

A door like the command line: it shows what the acts below it return, and has no way of its own to
read or erase. `door` opens it, `guard` stands before it, `pages` and `acts` answer.
"""
