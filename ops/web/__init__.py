"""The console: pages over what the pipeline has stored. It decides nothing, and the money path never waits for it."""
