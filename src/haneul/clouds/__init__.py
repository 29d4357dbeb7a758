"""The faces: each cloud speaks its own words here and nowhere below."""
