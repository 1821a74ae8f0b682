"""SSH signatures: what `ssh-keygen -Y sign` makes, checked against the lists of keys that OpenSSH reads.

In the order of dependence: `wire` (RFC 4251), `keys`, `certificates`, `signature`, `patterns`, `revocation`,
`allowed_signers`. What cannot be read, or not be read in one way only, is refused: ValueError from the readers,
BadSignature, which is one too, from whatever judges a signature. Nothing else is raised, whatever the input.
"""
