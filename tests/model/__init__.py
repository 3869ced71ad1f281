"""An independent reading of docs/rules.md (RULES) in plain Python; it shares no line with the product.

Nothing here imports the product's packages: what the two say of one file of facts is compared from
outside, through `escrow simulate` (RULES 5).
"""
