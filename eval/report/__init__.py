"""The report of an evaluation: an HTML page with tables and timelines, and a JSON file."""
