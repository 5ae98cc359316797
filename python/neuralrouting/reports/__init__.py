"""Monthly reports: the figures of an account, and the PDF made of them."""
