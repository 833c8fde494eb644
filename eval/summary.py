"""`python -m eval.summary`: the former name of `python -m record.summary`."""

from record.summary import main

if __name__ == "__main__":
    main()
