"""Amazon Web Services: wire protocols, signatures and operations over the engines."""
