"""What a terminal shows of a page of tables, of the time that a stage still takes, and of a sweep."""
