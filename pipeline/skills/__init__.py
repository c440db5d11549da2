"""Skills: programs that are given some fields of what was said, each in a process of its own."""
