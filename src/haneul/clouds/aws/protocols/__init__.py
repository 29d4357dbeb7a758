"""One codec per wire protocol, compiled from the service model on first use."""
