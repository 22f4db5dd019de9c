"""What people read of a result: `report.html`, `report.md`, JUnit and the terminal."""
