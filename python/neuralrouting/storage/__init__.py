"""Where rows live: SQLite or PostgreSQL, one set of numbered migrations each."""
