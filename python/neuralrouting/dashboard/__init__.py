"""Pages for the people who pay: rendered on the server, each from the JSON that its address also gives."""
