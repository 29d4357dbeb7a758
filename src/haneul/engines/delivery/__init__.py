"""Every 'and then tell X': the durable outbox and its retries."""
