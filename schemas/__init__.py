"""Wire words: what crosses Kafka, and nothing else."""
