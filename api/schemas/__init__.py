"""What the HTTP interface takes (`requests`) and gives (`answers`)."""
