"""The checks, by kind: each a function of the subject whose first line of documentation says what is held to be true."""
