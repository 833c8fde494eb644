"""Bad inputs, each with the error message of the program.

python -m tests.bad_inputs > docs/ERRORS.md
"""
