"""The rules: pure decisions over values, without clock, SQL, Kafka or log."""
