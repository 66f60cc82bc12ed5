"""What a run says: rows, verdicts, the table, the pictures, the files, the exit status."""
