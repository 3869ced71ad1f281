"""The stack on one machine: a real Kafka, a real PostgreSQL, and the processes around them."""
