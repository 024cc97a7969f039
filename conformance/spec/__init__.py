"""The requirements, by id, and the marks that tie code and cases to them."""
