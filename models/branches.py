"""The three branches of ACM-Net, in the order of every tensor that has them as a dimension."""

INSTANCE, CONTEXT, BACKGROUND = range(3)
BRANCHES = ("instance", "context", "background")  # their names in logs
