"""The rules: pure. No clock, no SQL, no Kafka, no log; everything comes in as an argument."""
