"""The published contract: made from models, catalogue and rules, so that it cannot say anything else."""
