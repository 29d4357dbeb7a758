"""What ran, priced."""
