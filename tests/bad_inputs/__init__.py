"""Bad inputs, each with the message that the program has for it.

python -m tests.bad_inputs > docs/ERRORS.md
"""
