"""The front door: HTTP from the socket to a Request, and a Response back to the socket."""
