"""Where leaderboards come from and lie: the records of suites, and the Markdown files of tables."""
