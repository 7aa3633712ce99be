"""What replicas have cached of prompts: a guess from what they were sent, corrected by what they report.

`chain` names each block of a prompt by all that stands before it, `holders` knows which replica holds which block, and
`prompts` reads a request's prompt against them.
"""
