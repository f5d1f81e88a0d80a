"""What the user sees: leaderboard, CSV, terminal table and HTML."""
