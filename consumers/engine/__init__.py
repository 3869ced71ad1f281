"""What every stage runs on: records in, one transaction a batch, positions, relay, ticker."""
