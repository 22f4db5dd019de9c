"""The report of a result: `report.html`, one file that needs nothing else, and `report.md` for a pull request."""
