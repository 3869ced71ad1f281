"""The doors: one thin file a stage, and the engine behind them."""
